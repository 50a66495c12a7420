//! `/Users`: one call of the directory for each request.

use axum::http::StatusCode;
use muster_proto::{schema::USER, v1};

use super::{
    exchange::{Answer, Exchange},
    reply::Outcome,
};
use crate::{
    scim::{document, list as scim_list, patch as scim_patch},
    translate::{
        list::{page_request, user_mask},
        patch::operations,
        user::{lower, resource},
    },
};

pub(super) async fn list(exchange: &Exchange) -> Answer {
    let query = exchange.query()?;
    let page = query.page()?;
    let projection = query.projection(&USER)?;
    let request = v1::ListUsersRequest {
        filter: query.filter(&USER)?,
        page: Some(page_request(page)),
        read_mask: user_mask(&projection),
        ..v1::ListUsersRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.list_users(&exchange.caller, request).await?;
    let total = found.page.unwrap_or_default().total_size;
    let links = &exchange.links;
    let users = found.users.into_iter();
    let users = users.map(|user| resource(user, links).render(links, &projection).body);
    let body = scim_list::render(total, page.start_index, users.collect());
    Ok(Outcome::Document(body))
}

pub(super) async fn get(exchange: &Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER)?;
    let request = v1::GetUserRequest {
        id: exchange.id.clone(),
        read_mask: user_mask(&projection),
        ..v1::GetUserRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_user(&exchange.caller, request).await?;
    let user = resource(found.user.unwrap_or_default(), &exchange.links);
    exchange.read(user.render(&exchange.links, &projection))
}

pub(super) async fn create(exchange: &Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER)?;
    let document = document::read(exchange.object()?, &USER)?;
    let request = v1::CreateUserRequest {
        user: Some(lower(document.attributes)?),
    };
    let directory = exchange.directory();
    let created = directory.create_user(&exchange.caller, request).await?;
    let user = resource(created.user.unwrap_or_default(), &exchange.links);
    let shown = user.render(&exchange.links, &projection);
    Ok(Outcome::Shown(StatusCode::CREATED, shown))
}

pub(super) async fn replace(exchange: &Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER)?;
    let document = document::read(exchange.object()?, &USER)?;
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
    let user = resource(replaced.user.unwrap_or_default(), &exchange.links);
    let shown = user.render(&exchange.links, &projection);
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

pub(super) async fn patch(exchange: &Exchange) -> Answer {
    let projection = exchange.query()?.projection(&USER)?;
    let edits = scim_patch::user_edits(exchange.object()?)?;
    let request = v1::PatchUserRequest {
        id: exchange.id.clone(),
        operations: operations(edits)?,
        read_mask: user_mask(&projection),
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let patched = directory.patch_user(&exchange.caller, request).await?;
    let user = resource(patched.user.unwrap_or_default(), &exchange.links);
    let shown = user.render(&exchange.links, &projection);
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

pub(super) async fn delete(exchange: &Exchange) -> Answer {
    let request = v1::DeleteUserRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    directory.delete_user(&exchange.caller, request).await?;
    Ok(Outcome::Done(None))
}
