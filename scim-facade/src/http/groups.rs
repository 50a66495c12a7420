//! `/Groups`. Members have their own call, made only when they are wanted.

use axum::http::StatusCode;
use muster_proto::v1;

use super::{
    exchange::{Answer, Exchange, Fault},
    members,
    reply::Outcome,
};
use crate::{
    scim::{
        document,
        group::{MEMBERS, MemberView},
        patch::{self as scim_patch, GroupEdit},
        projection::Projection,
        resource::{Resource, Shown},
    },
    translate::{
        group::{lower, member_refs, replacement, resource},
        patch::modifications,
    },
};

pub(super) async fn get(exchange: &Exchange) -> Answer {
    let projection = exchange
        .query()?
        .projection(exchange.registry().group, exchange.accents())?;
    let request = v1::GetGroupRequest {
        id: exchange.id.clone(),
        read_mask: None,
        ..v1::GetGroupRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_group(&exchange.caller, request).await?;
    let mut group = resource(found.group.unwrap_or_default(), exchange.registry().group);
    if let Some(view) = MemberView::new(&projection) {
        group.members = members::all(exchange, &group.id, view).await?;
    }
    exchange.read(group.render(&exchange.links, &projection))
}

pub(super) async fn create(exchange: &Exchange) -> Answer {
    let projection = exchange
        .query()?
        .projection(exchange.registry().group, exchange.accents())?;
    let document = document::read(
        exchange.object()?,
        exchange.registry().group,
        exchange.accents(),
    )?;
    let projection = projection.written(&document.attributes);
    let is_empty = document.members.is_empty();
    let request = v1::CreateGroupRequest {
        group: Some(lower(document.attributes)?),
        members: member_refs(document.members),
    };
    let directory = exchange.directory();
    let created = directory.create_group(&exchange.caller, request).await?;
    let mut group = resource(created.group.unwrap_or_default(), exchange.registry().group);
    let shown = if is_empty && projection.wants("", MEMBERS) {
        group.members = Some(Vec::new());
        group.render(&exchange.links, &projection)
    } else {
        written(exchange, group, &projection).await
    };
    Ok(Outcome::Shown(StatusCode::CREATED, shown))
}

pub(super) async fn replace(exchange: &Exchange) -> Answer {
    let projection = exchange
        .query()?
        .projection(exchange.registry().group, exchange.accents())?;
    let document = document::read(
        exchange.object()?,
        exchange.registry().group,
        exchange.accents(),
    )?;
    let projection = projection.written(&document.attributes);
    let modifications = replacement(document.attributes, document.members)?;
    let group = modify(exchange, modifications).await?;
    let shown = written(exchange, group, &projection).await;
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

/// Answers with the group unless it has many members: RFC 7644 section 3.5.2
/// allows 204, and the cost of a change must follow the change. A client that
/// asks for certain attributes gets the group in any case. Entra takes either;
/// scim-sanity insists on the group.
pub(super) async fn patch(exchange: &Exchange) -> Answer {
    let query = exchange.query()?;
    let projection = query.projection(exchange.registry().group, exchange.accents())?;
    let edits = scim_patch::group_edits(
        exchange.object()?,
        exchange.registry().group,
        exchange.accents(),
    )?;
    let projection = projection.edited(edits.iter().filter_map(|edit| match edit {
        GroupEdit::Attribute(edit) => Some(edit),
        _ => None,
    }));
    let group = modify(
        exchange,
        modifications(edits, exchange.context(exchange.registry().group))?,
    )
    .await?;
    if query.has_projection() {
        let shown = written(exchange, group, &projection).await;
        return Ok(Outcome::Shown(StatusCode::OK, shown));
    }
    changed(exchange, group, &projection).await
}

pub(super) async fn delete(exchange: &Exchange) -> Answer {
    let request = v1::DeleteGroupRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    directory.delete_group(&exchange.caller, request).await?;
    Ok(Outcome::Done(None))
}

async fn modify(
    exchange: &Exchange,
    modifications: Vec<v1::GroupModification>,
) -> Result<Resource, Fault> {
    let request = v1::ModifyGroupRequest {
        id: exchange.id.clone(),
        modifications,
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let modified = directory.modify_group(&exchange.caller, request).await?;
    Ok(resource(
        modified.group.unwrap_or_default(),
        exchange.registry().group,
    ))
}

/// A group as it was written. The write stands, so members that cannot be read
/// are left out: an error would say that nothing was written.
async fn written(exchange: &Exchange, mut group: Resource, projection: &Projection) -> Shown {
    if !exchange.is_part
        && let Some(view) = MemberView::new(projection)
        && let Ok(members) = members::all(exchange, &group.id, view).await
    {
        group.members = members;
    }
    group.render(&exchange.links, projection)
}

/// A group that was changed.
async fn changed(exchange: &Exchange, mut group: Resource, projection: &Projection) -> Answer {
    let members = match MemberView::new(projection) {
        Some(view) if !exchange.is_part => members::few(exchange, &group.id, view).await,
        _ => Ok(None),
    };
    // The write stands, so members that cannot be read are no error.
    match members {
        Ok(Some(members)) => {
            group.members = Some(members);
            let shown = group.render(&exchange.links, projection);
            Ok(Outcome::Shown(StatusCode::OK, shown))
        }
        Ok(None) | Err(_) => {
            let shown = group.render(&exchange.links, projection);
            Ok(Outcome::Done(Some(shown.version)))
        }
    }
}
