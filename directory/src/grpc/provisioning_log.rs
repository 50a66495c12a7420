//! The provisioning log and the health of connections, from the wire and to it.

use std::time::Duration;

use muster_proto::{reason, v1};
use prost::Message as _;

use super::{
    decode, encode,
    token_words::{checked_moment, wire_length},
};
use crate::{
    auth::Caller,
    domain::{
        health::{Expiry, Failure, Health, Verdict},
        page::Place,
        provisioning::{Details, Event, LeftOut, Operation},
        resource::ResourceKind,
    },
    error::{Error, Result},
    service::{Directory, EventQuery, RECORD_LIMIT},
};

/// Takes events of the caller's connection.
///
/// # Errors
/// [`Error::TooMany`], and those of [`Directory::record_events`].
pub(super) fn record(
    directory: &Directory,
    caller: &Caller,
    request: v1::RecordProvisioningEventsRequest,
) -> Result<v1::RecordProvisioningEventsResponse> {
    decode::check_count("events", request.events.len(), RECORD_LIMIT)?;
    let events = request.events.into_iter().map(event).collect();
    let dropped = directory.record_events(caller, events)?;
    Ok(v1::RecordProvisioningEventsResponse {
        dropped: i32::try_from(dropped).unwrap_or(i32::MAX),
    })
}

/// A page of events.
///
/// # Errors
/// As [`Directory::list_events`], and for what is no page of this list.
pub(super) async fn list(
    directory: &Directory,
    caller: &Caller,
    request: v1::ListProvisioningEventsRequest,
) -> Result<v1::ListProvisioningEventsResponse> {
    let list = identity(&caller.tenant_id, &request);
    let page = decode::page(directory, &list, request.page)?;
    if page.skip > 0 || page.count || page.count_only {
        return Err(Error::invalid("page", "can only be a size and a token"));
    }
    let wanted = EventQuery {
        connection_id: request.connection_id,
        resource_id: request.resource_id,
        external_id: request.external_id,
        failures_only: request.failures_only,
        since: checked_moment("since", request.since.as_ref())?,
        below: page.after.map(|after| after.id),
        above: None,
    };
    let found = directory.list_events(caller, wanted, page.size).await?;
    let next = found.next.map(|next| {
        let place = Place::of(next);
        directory.cursors().page(&list, &place, directory.now_ms())
    });
    Ok(v1::ListProvisioningEventsResponse {
        events: found.events.into_iter().map(wire_event).collect(),
        page: Some(v1::PageResponse {
            next_page_token: next.unwrap_or_default(),
            total_size: 0,
        }),
    })
}

/// How a connection that the caller may see fares.
///
/// # Errors
/// As [`Directory::own_connection`].
pub(super) async fn health(
    directory: &Directory,
    caller: &Caller,
    connection_id: &str,
) -> Result<v1::GetConnectionHealthResponse> {
    caller.require_unbound("provisioning.read")?;
    let connection = directory.own_connection(caller, connection_id).await?;
    let health = directory.connection_health(&caller.tenant_id, &connection.id);
    Ok(wire_health(health.await?))
}

/// What tells a list of events from others.
fn identity(tenant_id: &str, request: &v1::ListProvisioningEventsRequest) -> Vec<u8> {
    let mut of = request.clone();
    of.page = None;
    let mut identity = format!("provisioning log of {tenant_id} ").into_bytes();
    identity.extend(of.encode_to_vec());
    identity
}

/// What a client's facade tells, without what it has no say in.
fn event(event: v1::ProvisioningEvent) -> Event {
    let kind = match event.resource_type() {
        v1::ResourceType::User => Some(ResourceKind::User),
        v1::ResourceType::Group => Some(ResourceKind::Group),
        _ => None,
    };
    let reason = match event.reason() {
        v1::ErrorReason::Unspecified => "",
        told => reason::name(told),
    };
    let latency = event.latency.map(Duration::try_from);
    let latency = latency
        .and_then(std::result::Result::ok)
        .unwrap_or_default();
    let ignored = event.ignored.into_iter().map(|ignored| LeftOut {
        path: ignored.path,
        reason: ignored.reason,
    });
    Event {
        operation: Operation::of(event.operation.into()),
        kind,
        resource_id: event.resource_id,
        external_id: event.external_id,
        status: u16::try_from(event.http_status).unwrap_or_default(),
        scim_type: event.scim_type,
        reason: reason.to_owned(),
        attribute: event.attribute,
        request_id: event.request_id,
        details: Details {
            method: event.method,
            detail: event.detail,
            changed: event.changed_attributes,
            ignored: ignored.collect(),
            accents: event.accents,
            filtered: event.filtered_attributes,
            matched_by: event.matched_by,
            held: event.held,
            members_added: event.members_added,
            members_removed: event.members_removed,
            latency_us: i64::try_from(latency.as_micros()).unwrap_or(i64::MAX),
        },
        ..Event::default()
    }
}

fn wire_event(event: Event) -> v1::ProvisioningEvent {
    let details = event.details;
    let ignored = details.ignored.into_iter().map(|left_out| {
        let LeftOut { path, reason } = left_out;
        v1::IgnoredAttribute { path, reason }
    });
    let latency = u64::try_from(details.latency_us).unwrap_or_default();
    v1::ProvisioningEvent {
        time: Some(encode::timestamp(event.at)),
        operation: wire_operation(event.operation).into(),
        resource_type: wire_kind(event.kind).into(),
        http_status: event.status.into(),
        reason: wire_reason(&event.reason).into(),
        id: event.id,
        connection_id: event.connection_id,
        credential_id: event.credential_id,
        name: event.name,
        resource_id: event.resource_id,
        external_id: event.external_id,
        scim_type: event.scim_type,
        attribute: event.attribute,
        request_id: event.request_id,
        method: details.method,
        detail: details.detail,
        changed_attributes: details.changed,
        ignored: ignored.collect(),
        accents: details.accents,
        filtered_attributes: details.filtered,
        matched_by: details.matched_by,
        held: details.held,
        members_added: details.members_added,
        members_removed: details.members_removed,
        latency: Some(wire_length(Duration::from_micros(latency))),
    }
}

fn wire_operation(operation: Operation) -> v1::ProvisioningOperation {
    use v1::ProvisioningOperation as Wire;
    match operation {
        Operation::Other => Wire::Unspecified,
        Operation::Create => Wire::Create,
        Operation::Update => Wire::Update,
        Operation::Disable => Wire::Disable,
        Operation::Enable => Wire::Enable,
        Operation::Delete => Wire::Delete,
        Operation::Skip => Wire::Skip,
        Operation::Lookup => Wire::Lookup,
    }
}

fn wire_kind(kind: Option<ResourceKind>) -> v1::ResourceType {
    match kind {
        Some(ResourceKind::User) => v1::ResourceType::User,
        Some(ResourceKind::Group) => v1::ResourceType::Group,
        None => v1::ResourceType::Unspecified,
    }
}

/// A reason that this build does not know is none.
fn wire_reason(name: &str) -> v1::ErrorReason {
    reason::parse(name).unwrap_or(v1::ErrorReason::Unspecified)
}

fn wire_health(health: Health) -> v1::GetConnectionHealthResponse {
    use v1::get_connection_health_response::Verdict as Wire;
    let verdict = match health.verdict {
        Verdict::Healthy => Wire::Healthy,
        Verdict::Quiet => Wire::Quiet,
        Verdict::Failing => Wire::Failing,
        Verdict::QuarantineRisk => Wire::QuarantineRisk,
    };
    v1::GetConnectionHealthResponse {
        verdict: verdict.into(),
        failure_ratio_24h: health.failure_ratio(),
        verdict_reason: health.why,
        last_success_time: health.last_success.map(encode::timestamp),
        last_request_time: health.last_request.map(encode::timestamp),
        expected_next_cycle_time: health.expected_next.map(encode::timestamp),
        requests_24h: health.requests,
        failures_24h: health.failures,
        top_failures: health.top.into_iter().map(wire_failure).collect(),
        expiring_credentials: health.expiring.into_iter().map(wire_expiry).collect(),
        held_operations: health.held,
    }
}

fn wire_failure(failure: Failure) -> v1::FailureGroup {
    let Failure { tally, example, .. } = failure;
    let is_there = !example.id.is_empty();
    v1::FailureGroup {
        http_status: tally.status.into(),
        reason: wire_reason(&tally.reason).into(),
        scim_type: tally.scim_type,
        attribute: tally.attribute,
        count: tally.count,
        example_external_id: example.external_id,
        example_event_id: tally.latest,
        remedy: failure.remedy,
        example_detail: example.details.detail,
        example_resource_id: example.resource_id,
        example_time: is_there.then(|| encode::timestamp(example.at)),
        example_credential_id: example.credential_id,
        example_credential_name: failure.credential_name,
    }
}

fn wire_expiry(expiry: Expiry) -> v1::CredentialExpiry {
    v1::CredentialExpiry {
        credential_id: expiry.credential_id,
        name: expiry.name,
        expire_time: Some(encode::timestamp(expiry.expires_at)),
        threshold_days: i32::try_from(expiry.threshold_days).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was_told() {
        let told = v1::ProvisioningEvent {
            operation: v1::ProvisioningOperation::Disable.into(),
            method: "PATCH".to_owned(),
            resource_type: v1::ResourceType::User.into(),
            resource_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            external_id: "x".to_owned(),
            http_status: 200,
            scim_type: "s".to_owned(),
            reason: v1::ErrorReason::UserNameTaken.into(),
            attribute: "userName".to_owned(),
            detail: "d".to_owned(),
            changed_attributes: vec!["active".to_owned()],
            ignored: vec![v1::IgnoredAttribute {
                path: "title".to_owned(),
                reason: "not allowed".to_owned(),
            }],
            accents: vec!["capital-ops".to_owned()],
            filtered_attributes: vec!["userName".to_owned()],
            held: true,
            members_added: 1,
            members_removed: 2,
            latency: Some(wire_length(Duration::from_micros(1_234))),
            request_id: "r".to_owned(),
            ..v1::ProvisioningEvent::default()
        };
        let mut back = wire_event(event(told.clone()).clean());
        assert_eq!(back.name, "", "it waits");
        back.time = None;
        assert_eq!(back, told);
    }

    /// The numbers are the contract's, which the database keeps.
    #[test]
    fn operations_have_the_numbers_of_the_contract() {
        for operation in Operation::ALL {
            assert_eq!(wire_operation(operation) as i32, operation as i32);
        }
    }
}
