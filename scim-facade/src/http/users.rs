//! `/Users`: one call of the directory for each request.

use axum::http::StatusCode;
use muster_proto::v1;

use super::{
    exchange::{Answer, Exchange},
    reply::Outcome,
};
use crate::{
    scim::{patch as scim_patch, projection::Projection, resource::Shown},
    translate::{
        list::user_mask,
        patch::operations,
        user::{lower, resource},
    },
};

pub(super) async fn get(exchange: &Exchange) -> Answer {
    let projection = exchange.projection(exchange.registry().user)?;
    let request = v1::GetUserRequest {
        id: exchange.id.clone(),
        read_mask: user_mask(&projection, exchange.profile.personal_data),
        ..v1::GetUserRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_user(&exchange.caller, request).await?;
    exchange.note.user(found.user.as_ref());
    exchange.read(shown(exchange, found.user, &projection))
}

pub(super) async fn create(exchange: &Exchange) -> Answer {
    let (document, projection) = exchange.document(exchange.registry().user)?;
    let request = v1::CreateUserRequest {
        user: Some(lower(document.attributes)?),
        options: None,
    };
    let directory = exchange.directory();
    let created = directory.create_user(&exchange.caller, request).await?;
    // Who was there already was not created.
    let report = created.report.as_ref();
    let status = match report.is_some_and(|report| !report.matched_by.is_empty()) {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    exchange.note.user(created.user.as_ref());
    exchange.note.came_to(created.report);
    let shown = shown(exchange, created.user, &projection);
    Ok(Outcome::Shown(status, shown))
}

pub(super) async fn replace(exchange: &Exchange) -> Answer {
    let (document, projection) = exchange.document(exchange.registry().user)?;
    let user = v1::User {
        id: exchange.id.clone(),
        ..lower(document.attributes)?
    };
    let request = v1::ReplaceUserRequest {
        user: Some(user),
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let replaced = directory.replace_user(&exchange.caller, request).await?;
    exchange.note.user(replaced.user.as_ref());
    exchange.note.came_to(replaced.report);
    let shown = shown(exchange, replaced.user, &projection);
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

pub(super) async fn patch(exchange: &Exchange) -> Answer {
    let projection = exchange.projection(exchange.registry().user)?;
    let body = exchange.object()?;
    exchange.profile.unnameable.check_patch(&body)?;
    let edits = scim_patch::user_edits(body, exchange.registry().user, exchange.accents())?;
    let projection = projection.edited(&edits);
    let request = v1::PatchUserRequest {
        id: exchange.id.clone(),
        operations: operations(edits, exchange.context(exchange.registry().user))?,
        read_mask: user_mask(&projection, exchange.profile.personal_data),
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let patched = directory.patch_user(&exchange.caller, request).await?;
    exchange.note.user(patched.user.as_ref());
    exchange.note.came_to(patched.report);
    let shown = shown(exchange, patched.user, &projection);
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

pub(super) async fn delete(exchange: &Exchange) -> Answer {
    let request = v1::DeleteUserRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let deleted = directory.delete_user(&exchange.caller, request).await?;
    exchange.note.came_to(deleted.report);
    Ok(Outcome::Done)
}

fn shown(exchange: &Exchange, user: Option<v1::User>, projection: &Projection) -> Shown {
    let kind = exchange.registry().user;
    let user = resource(user.unwrap_or_default(), kind, &exchange.links);
    user.render(&exchange.links, projection)
}
