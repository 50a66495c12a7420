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
        flavor::Accent,
        group::{MEMBERS, MemberView},
        patch as scim_patch,
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
    let modifications = replacement(document.attributes, document.members)?;
    let group = modify(exchange, modifications).await?;
    let shown = written(exchange, group, &projection).await;
    Ok(Outcome::Shown(StatusCode::OK, shown))
}

/// Answers 204 where the client wants it so, unless it asks for certain
/// attributes; other clients get the group.
pub(super) async fn patch(exchange: &Exchange) -> Answer {
    let query = exchange.query()?;
    let projection = query.projection(exchange.registry().group, exchange.accents())?;
    let edits = scim_patch::group_edits(
        exchange.object()?,
        exchange.registry().group,
        exchange.accents(),
    )?;
    let group = modify(
        exchange,
        modifications(edits, exchange.context(exchange.registry().group))?,
    )
    .await?;
    let is_silent = exchange.accents().has(Accent::GroupPatchNoContent);
    if !is_silent || query.has_projection() {
        let shown = written(exchange, group, &projection).await;
        return Ok(Outcome::Shown(StatusCode::OK, shown));
    }
    let shown = group.render(&exchange.links, &projection);
    Ok(Outcome::Done(Some(shown.version)))
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
