//! Discovery endpoints: RFC 7644 section 4.

use axum::{
    extract::{FromRequestParts as _, RawPathParams, Request, State},
    http::StatusCode,
    response::Response,
};

use super::{
    App,
    content::Media,
    exchange::{self, Answer, Exchange},
    reply::{self, Outcome},
};
use crate::scim::{discovery, error::ScimError, json::Json};

/// Readable without a token: it says how to authenticate.
pub(super) async fn service_provider_config(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let media = match Media::accepted(&parts.headers) {
        Ok(media) => media,
        Err(error) => return reply::error(&error),
    };
    let Ok(params) = RawPathParams::from_request_parts(&mut parts, &()).await else {
        return reply::error(&ScimError::not_found());
    };
    let connection = params.iter().find(|(name, _)| *name == "connection");
    let links = exchange::links(&parts, &app, connection.map(|(_, id)| id));
    let config = discovery::service_provider_config(&links);
    media.label(reply::json(StatusCode::OK, &config))
}

pub(super) async fn resource_types(exchange: &Exchange) -> Answer {
    let found = Some(discovery::resource_types(
        exchange.profile.registry,
        &exchange.links,
    ));
    answer(exchange, found).await
}

pub(super) async fn resource_type(exchange: &Exchange) -> Answer {
    let found =
        discovery::find_resource_type(&exchange.id, exchange.profile.registry, &exchange.links);
    answer(exchange, found).await
}

pub(super) async fn schemas(exchange: &Exchange) -> Answer {
    let found = Some(discovery::schemas(
        exchange.profile.registry,
        &exchange.links,
    ));
    answer(exchange, found).await
}

pub(super) async fn schema(exchange: &Exchange) -> Answer {
    let found = discovery::find_schema(&exchange.id, exchange.profile.registry, &exchange.links);
    answer(exchange, found).await
}

/// What is shown is in the profile, so whether it is still the connection's and
/// whether the credential is good is all there is to ask.
async fn answer(exchange: &Exchange, found: Option<Json>) -> Answer {
    exchange.directory().profile(&exchange.caller).await?;
    if exchange.query()?.has_filter() {
        // RFC 7644 section 4 asks for this status.
        return Err(ScimError::new(403, "This endpoint takes no filter.").into());
    }
    let found = found.ok_or_else(ScimError::not_found)?;
    Ok(Outcome::Document(found))
}
