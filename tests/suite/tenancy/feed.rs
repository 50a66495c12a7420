//! Calls that came with the feed, the audit and the way back from a deletion.

use std::collections::BTreeMap;

use muster_proto::v1;

use super::{Call, Expected, Ids, Seen, is_silent};

pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    let calls: [(&'static str, Expected, Call); 11] = [
        ("UserService/UndeleteUser", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::UndeleteUserRequest {
                    id: ids.user,
                    options: None,
                };
                let answer = g.users().undelete_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("UserService/PurgeUser", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::PurgeUserRequest {
                    id: ids.user,
                    options: as_seen(),
                };
                let answer = g.users().purge_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "GroupService/UndeleteGroup",
            Expected::NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::UndeleteGroupRequest {
                        id: ids.group,
                        options: None,
                    };
                    let answer = g.groups().undelete_group(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("GroupService/PurgeGroup", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::PurgeGroupRequest {
                    id: ids.group,
                    options: as_seen(),
                };
                let answer = g.groups().purge_group(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "ChangeService/GetChangeBounds",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::GetChangeBoundsRequest {};
                    let answer = g.changes().get_change_bounds(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
        ("ChangeService/ListChanges", Expected::Nothing, |g, ids| {
            Box::pin(async move {
                // Their group and connection are asked for by name.
                let filter = v1::ChangeFilter {
                    group_ids: vec![ids.group.clone()],
                    connection_id: ids.connection.clone(),
                    ..Default::default()
                };
                for filter in [None, Some(filter)] {
                    let request = v1::ListChangesRequest {
                        filter,
                        ..Default::default()
                    };
                    let answer = g.changes().list_changes(request).await?;
                    if is_silent(&answer.into_inner(), &ids) == Seen::Something {
                        return Ok(Seen::Something);
                    }
                }
                Ok(Seen::Nothing)
            })
        }),
        ("ChangeService/WatchChanges", Expected::Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::WatchChangesRequest {
                    start: Some(v1::watch_changes_request::Start::FromNow(true)),
                    ..Default::default()
                };
                let answer = g.changes().watch_changes(request).await?;
                let first = answer.into_inner().message().await?;
                Ok(is_silent(&first.unwrap_or_default(), &ids))
            })
        }),
        (
            "ChangeService/StreamSnapshot",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::StreamSnapshotRequest::default();
                    let answer = g.changes().stream_snapshot(request).await?;
                    let mut pages = answer.into_inner();
                    while let Some(page) = pages.message().await? {
                        if is_silent(&page, &ids) == Seen::Something {
                            return Ok(Seen::Something);
                        }
                    }
                    Ok(Seen::Nothing)
                })
            },
        ),
        (
            "AuditService/ListAuditEntries",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ListAuditEntriesRequest::default();
                    let answer = g.audit().list_audit_entries(request).await?;
                    Ok(is_done_to_nobody(&answer.into_inner().entries, &ids))
                })
            },
        ),
        (
            "AuditService/ExportAuditEntries",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ExportAuditEntriesRequest::default();
                    let answer = g.audit().export_audit_entries(request).await?;
                    let mut entries = Vec::new();
                    let mut parts = answer.into_inner();
                    while let Some(part) = parts.message().await? {
                        entries.extend(part.entries);
                    }
                    Ok(is_done_to_nobody(&entries, &ids))
                })
            },
        ),
        (
            "AuditService/VerifyAuditChain",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::VerifyAuditChainRequest::default();
                    let answer = g.audit().verify_audit_chain(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}

/// Whether the entries name the other tenant's ids only where a call of ours
/// named them and was refused.
fn is_done_to_nobody(entries: &[v1::AuditEntry], ids: &Ids) -> Seen {
    let done = entries.iter().filter(|entry| entry.outcome == "OK");
    let seen = done.map(|entry| is_silent(entry, ids));
    seen.into_iter().all(|seen| seen == Seen::Nothing).into()
}

fn as_seen() -> Option<v1::WriteOptions> {
    Some(v1::WriteOptions {
        if_match: "\"1\"".to_owned(),
        ..Default::default()
    })
}
