//! `/Users`: one call of the directory for each request.

use axum::{http::StatusCode, response::Response};
use muster_proto::{schema::USER, v1};

use super::{
    exchange::{Answer, Exchange},
    precondition, reply,
};
use crate::{
    scim::{
        document, list as scim_list, meta::Links, patch as scim_patch, projection::Projection,
        resource::Resource, user::shows_others,
    },
    translate::{
        list::{page_request, user_mask},
        patch::operations,
        user::{lower, resource},
    },
};

pub(super) async fn list(exchange: Exchange) -> Answer {
    let query = exchange.query()?;
    let page = query.page()?;
    let projection = query.projection(&USER, exchange.accents())?;
    let request = v1::ListUsersRequest {
        filter: query.filter(exchange.context(&USER))?,
        page: Some(page_request(page)),
        read_mask: user_mask(&projection),
        ..v1::ListUsersRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.list_users(&exchange.caller, request).await?;
    let total = found.page.unwrap_or_default().total_size;
    let links = &exchange.links;
    let users = found.users.into_iter();
    let users = users.map(|user| resource(user, links).render(links, &projection));
    let body = scim_list::render(total, page.start_index, users.collect());
    Ok(reply::json(StatusCode::OK, &body))
}

pub(super) async fn get(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER, exchange.accents())?;
    let request = v1::GetUserRequest {
        id: exchange.id.clone(),
        read_mask: user_mask(&projection),
        ..v1::GetUserRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_user(&exchange.caller, request).await?;
    let user = resource(found.user.unwrap_or_default(), &exchange.links);
    let etag = &user.meta.version;
    let is_known = precondition::is_known(&exchange.headers, etag)?;
    // The version is the user's own: it stays when a group takes him in or his
    // manager is renamed, so it cannot say that such an answer is the same.
    if is_known && !shows_others(&user, &projection) {
        return Ok(reply::not_modified(etag));
    }
    Ok(shown(user, &exchange.links, &projection))
}

pub(super) async fn create(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER, exchange.accents())?;
    let document = document::read(exchange.object()?, &USER, exchange.accents())?;
    let request = v1::CreateUserRequest {
        user: Some(lower(document.attributes)?),
    };
    let directory = exchange.directory();
    let created = directory.create_user(&exchange.caller, request).await?;
    let links = &exchange.links;
    let user = resource(created.user.unwrap_or_default(), links);
    let (etag, location) = (user.meta.version.clone(), user.location(links));
    let body = user.render(links, &projection);
    Ok(reply::created(&etag, &location, &body))
}

pub(super) async fn replace(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER, exchange.accents())?;
    let document = document::read(exchange.object()?, &USER, exchange.accents())?;
    let user = v1::User {
        id: exchange.id.clone(),
        ..lower(document.attributes)?
    };
    let request = v1::ReplaceUserRequest {
        user: Some(user),
        options: precondition::write_options(&exchange.headers)?,
    };
    let directory = exchange.directory();
    let replaced = directory.replace_user(&exchange.caller, request).await?;
    let user = resource(replaced.user.unwrap_or_default(), &exchange.links);
    Ok(shown(user, &exchange.links, &projection))
}

pub(super) async fn patch(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER, exchange.accents())?;
    let edits = scim_patch::user_edits(exchange.object()?, &USER, exchange.accents())?;
    let request = v1::PatchUserRequest {
        id: exchange.id.clone(),
        operations: operations(edits, exchange.context(&USER))?,
        read_mask: user_mask(&projection),
        options: precondition::write_options(&exchange.headers)?,
    };
    let directory = exchange.directory();
    let patched = directory.patch_user(&exchange.caller, request).await?;
    let user = resource(patched.user.unwrap_or_default(), &exchange.links);
    Ok(shown(user, &exchange.links, &projection))
}

pub(super) async fn delete(exchange: Exchange) -> Answer {
    let request = v1::DeleteUserRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: precondition::write_options(&exchange.headers)?,
    };
    let directory = exchange.directory();
    directory.delete_user(&exchange.caller, request).await?;
    Ok(reply::no_content())
}

fn shown(user: Resource, links: &Links, projection: &Projection) -> Response {
    let etag = user.meta.version.clone();
    reply::resource(StatusCode::OK, &etag, &user.render(links, projection))
}
