//! `log tail` and `connection health`: what requests of provisioning clients came
//! to, read from the database that a server writes.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    time::Duration,
};

use muster_directory::{
    clock::{Source as _, System},
    domain::{
        health::{Expiry, Failure, Health},
        provisioning::{Event, RESOLVED, first_id_at},
        resource::ResourceKind,
    },
    service::{Directory, EventQuery},
};
use serde_json::{Value, json};

use crate::{
    arguments::{InTenant, Json, Log, Tail},
    output::{self, instant},
};

/// How often it is looked for more.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much later than its time an event may be written, in milliseconds: by a
/// server that had no database for a while, or is another one.
const LATE_MS: i64 = 10_000;

/// Most events read at once while following.
const AT_ONCE: usize = 1_000;

/// Runs one command. That nobody reads on is no fault.
pub(crate) async fn run(command: Log, directory: &Directory) -> anyhow::Result<()> {
    let Log::Tail(tail) = command;
    unless_closed(show(tail, directory).await)
}

/// An end without a complaint where standard output was closed.
fn unless_closed(result: anyhow::Result<()>) -> anyhow::Result<()> {
    let is_closed = |error: &anyhow::Error| {
        let error = error.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match result {
        Err(error) if is_closed(&error) => Ok(()),
        result => result,
    }
}

async fn show(tail: Tail, directory: &Directory) -> anyhow::Result<()> {
    let tenant = directory.find_tenant(&tail.tenant.tenant).await?;
    let now = System.now_ms();
    let since = tail
        .since
        .map(|since| now.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    let mut wanted = EventQuery {
        resource_id: tail.user.clone().unwrap_or_default(),
        external_id: tail.external_id.clone().unwrap_or_default(),
        failures_only: tail.failures,
        since,
        ..EventQuery::default()
    };
    if let Some(connection) = &tail.connection {
        let connection = directory.find_connection(&tenant.id, connection).await?;
        wanted.connection_id = connection.id;
    }
    let limit = usize::try_from(tail.limit).unwrap_or(usize::MAX);
    let mut events = directory.tail_events(&tenant.id, &wanted, limit).await?;
    events.reverse();
    if events.is_empty() && !tail.json.json {
        // Standard output has events and nothing else.
        let _ = writeln!(io::stderr(), "There is no such event in the log.");
    }
    print(&events, tail.json)?;
    if tail.follow {
        follow(directory, &tenant.id, wanted, events, &tail, now).await?;
    }
    Ok(())
}

/// Prints what comes behind these events, in the order in which it is written.
async fn follow(
    directory: &Directory,
    tenant_id: &str,
    wanted: EventQuery,
    shown: Vec<Event>,
    tail: &Tail,
    began_ms: i64,
) -> anyhow::Result<()> {
    let mut seen: HashSet<_> = shown.into_iter().map(|event| event.id).collect();
    // What was left out of the first events by their limit is left out for good.
    let first = first_id_at(began_ms);
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let floor = first_id_at(System.now_ms().saturating_sub(LATE_MS)).max(first.clone());
        seen.retain(|id| *id > floor);
        let mut above = floor;
        loop {
            let wanted = EventQuery {
                above: Some(above.clone()),
                ..wanted.clone()
            };
            let events = directory.tail_events(tenant_id, &wanted, AT_ONCE).await?;
            let is_full = events.len() == AT_ONCE;
            if let Some(last) = events.last() {
                above.clone_from(&last.id);
            }
            let fresh = events.into_iter();
            let fresh: Vec<_> = fresh
                .filter(|event| seen.insert(event.id.clone()))
                .collect();
            print(&fresh, tail.json)?;
            if !is_full {
                break;
            }
        }
    }
}

/// Tells how a connection fares.
pub(crate) async fn health(
    directory: &Directory,
    connection: &str,
    tenant: &InTenant,
    json: Json,
) -> anyhow::Result<()> {
    let tenant = directory.find_tenant(&tenant.tenant).await?;
    let connection = directory.find_connection(&tenant.id, connection).await?;
    let health = directory.connection_health(&tenant.id, &connection.id);
    let health = health.await?;
    let told = if json.json {
        let mut shown = health_fields(&health);
        shown["connection_id"] = connection.id.into();
        shown["name"] = connection.name.into();
        output::one(&shown, json)
    } else {
        tell(&connection.name, &health)
    };
    unless_closed(told.map_err(Into::into))
}

/// A time for people: all of one width, so that columns stay columns.
fn clock(ms: i64) -> String {
    let Value::String(text) = instant(Some(ms)) else {
        return "-".to_owned();
    };
    let whole = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{whole}.{:03}Z", ms.rem_euclid(1_000))
}

fn print(events: &[Event], json: Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for event in events {
        match json.json {
            true => writeln!(out, "{}", fields(event))?,
            false => writeln!(out, "{}", line(event))?,
        }
    }
    out.flush()
}

fn kind(event: &Event) -> &'static str {
    match event.kind {
        Some(ResourceKind::User) => "user",
        Some(ResourceKind::Group) => "group",
        None => "",
    }
}

/// An event for machines.
fn fields(event: &Event) -> Value {
    let details = &event.details;
    let ignored = details.ignored.iter();
    let ignored: Vec<_> = ignored
        .map(|left_out| json!({"path": left_out.path, "reason": left_out.reason}))
        .collect();
    json!({
        "id": event.id,
        "time": instant(Some(event.at)),
        "connection_id": event.connection_id,
        "credential_id": event.credential_id,
        "event": event.name,
        "operation": event.operation.as_str(),
        "method": details.method,
        "resource_type": kind(event),
        "resource_id": event.resource_id,
        "external_id": event.external_id,
        "status": event.status,
        "scim_type": event.scim_type,
        "reason": event.reason,
        "attribute": event.attribute,
        "detail": details.detail,
        "changed": details.changed,
        "ignored": ignored,
        "accents": details.accents,
        "filtered": details.filtered,
        "matched_by": details.matched_by,
        "held": details.held,
        "members_added": details.members_added,
        "members_removed": details.members_removed,
        "latency_us": details.latency_us,
        "request_id": event.request_id,
    })
}

/// An event for people: what there is of it, in a line.
fn line(event: &Event) -> String {
    let details = &event.details;
    let status = match event.status {
        RESOLVED => "-".to_owned(),
        status => status.to_string(),
    };
    let mut parts = vec![clock(event.at), status, event.operation.as_str().to_owned()];
    let mut told = |name: &str, value: &str| {
        let separate = if name.is_empty() { "" } else { "=" };
        if !value.is_empty() {
            parts.push(format!("{name}{separate}{value}"));
        }
    };
    told("", kind(event));
    told("", &event.name);
    told("id", &event.resource_id);
    told("external_id", &event.external_id);
    told("reason", &event.reason);
    if event.status == 401 {
        told("credential", &event.credential_id);
    }
    told("scim_type", &event.scim_type);
    told("attribute", &event.attribute);
    told("changed", &details.changed.join(","));
    let ignored = details
        .ignored
        .iter()
        .map(|left_out| left_out.path.as_str());
    told("ignored", &ignored.collect::<Vec<_>>().join(","));
    told("filtered", &details.filtered.join(","));
    told("matched_by", &details.matched_by);
    told("held", if details.held { "yes" } else { "" });
    told("accents", &details.accents.join(","));
    told("detail", &details.detail);
    parts.join("  ")
}

fn health_fields(health: &Health) -> Value {
    let failure = |failure: &Failure| {
        json!({
            "count": failure.tally.count,
            "status": failure.tally.status,
            "scim_type": failure.tally.scim_type,
            "reason": failure.tally.reason,
            "attribute": failure.tally.attribute,
            "example_external_id": failure.example.external_id,
            "example_event_id": failure.tally.latest,
            "example_time": instant(Some(failure.example.at)),
            "example_resource_id": failure.example.resource_id,
            "example_detail": failure.example.details.detail,
            "example_credential_id": failure.example.credential_id,
            "example_credential_name": failure.credential_name,
            "remedy": failure.remedy,
        })
    };
    let expiry = |expiry: &Expiry| {
        json!({
            "credential_id": expiry.credential_id,
            "name": expiry.name,
            "expires_at": instant(Some(expiry.expires_at)),
            "threshold_days": expiry.threshold_days,
        })
    };
    json!({
        "verdict": health.verdict.as_str(),
        "why": health.why,
        "last_success_at": instant(health.last_success),
        "last_request_at": instant(health.last_request),
        "expected_next_cycle_at": instant(health.expected_next),
        "requests_24h": health.requests,
        "failures_24h": health.failures,
        "failure_ratio_24h": health.failure_ratio(),
        "top_failures": health.top.iter().map(failure).collect::<Vec<_>>(),
        "expiring_credentials": health.expiring.iter().map(expiry).collect::<Vec<_>>(),
        "held_operations": health.held,
    })
}

fn tell(name: &str, health: &Health) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let shown = |at: Option<i64>| at.map_or("-".to_owned(), clock);
    writeln!(out, "{name}: {}", health.verdict.as_str())?;
    if !health.why.is_empty() {
        writeln!(out, "  {}", health.why)?;
    }
    writeln!(out, "last success:    {}", shown(health.last_success))?;
    writeln!(out, "last request:    {}", shown(health.last_request))?;
    writeln!(out, "next expected:   {}", shown(health.expected_next))?;
    let percent = health.failure_ratio() * 100.0;
    let (requests, failures) = (health.requests, health.failures);
    writeln!(
        out,
        "last 24 hours:   {requests} requests, {failures} failed ({percent:.1} %)"
    )?;
    writeln!(out, "held operations: {}", health.held)?;
    for failure in &health.top {
        for line in failure_lines(failure) {
            writeln!(out, "{line}")?;
        }
    }
    for expiry in &health.expiring {
        writeln!(out, "{}", expiry_line(expiry))?;
    }
    Ok(())
}

/// What failed, the latest of it, and what to do.
fn failure_lines(failure: &Failure) -> Vec<String> {
    let (tally, example) = (&failure.tally, &failure.example);
    let heading = [
        format!("{} x {}", tally.count, tally.status),
        tally.reason.clone(),
        tally.scim_type.clone(),
        tally.attribute.clone(),
    ];
    let mut latest = vec![format!("  latest {}", clock(example.at))];
    let mut told = |name: &str, value: &str| {
        if !value.is_empty() {
            latest.push(format!("{name}={value}"));
        }
    };
    told("external_id", &example.external_id);
    told("id", &example.resource_id);
    if tally.status == 401 {
        told("credential", &example.credential_id);
        told("name", &failure.credential_name);
    }
    told("detail", &example.details.detail);
    let heading = heading.into_iter().filter(|part| !part.is_empty());
    vec![
        heading.collect::<Vec<_>>().join(" "),
        latest.join("  "),
        format!("  {}", failure.remedy),
    ]
}

fn expiry_line(expiry: &Expiry) -> String {
    let (name, id, at) = (
        &expiry.name,
        &expiry.credential_id,
        clock(expiry.expires_at),
    );
    match expiry.threshold_days {
        0 => format!("credential {name} ({id}) ended at {at}"),
        days => format!("credential {name} ({id}) ends at {at}, within {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use muster_directory::domain::{
        health::Tally,
        provisioning::{Details, Operation},
    };

    use super::*;

    #[test]
    fn a_line_tells_what_there_is_and_nothing_else() {
        let event = Event {
            at: 1_800_000_000_000,
            status: 409,
            operation: Operation::Create,
            kind: Some(ResourceKind::User),
            external_id: "x".to_owned(),
            reason: "USER_NAME_TAKEN".to_owned(),
            details: Details {
                accents: vec!["capital-ops".to_owned(), "empty-path".to_owned()],
                ..Details::default()
            },
            ..Event::default()
        };
        assert_eq!(
            line(&event),
            "2027-01-15T08:00:00.000Z  409  create  user  external_id=x  reason=USER_NAME_TAKEN  \
             accents=capital-ops,empty-path"
        );
    }

    #[test]
    fn times_have_one_width() {
        for (ms, expected) in [
            (1_800_000_000_000, "2027-01-15T08:00:00.000Z"),
            (1_800_000_000_120, "2027-01-15T08:00:00.120Z"),
            (1_800_000_000_007, "2027-01-15T08:00:00.007Z"),
        ] {
            assert_eq!(clock(ms), expected);
        }
    }

    #[test]
    fn a_failure_is_told_with_its_latest_event() {
        let failure = Failure {
            tally: Tally {
                status: 401,
                count: 2,
                ..Tally::default()
            },
            example: Event {
                at: 1_800_000_000_000,
                credential_id: "c".to_owned(),
                ..Event::default()
            },
            credential_name: "entra-2026".to_owned(),
            remedy: "Make a new one.".to_owned(),
        };
        let expected = [
            "2 x 401",
            "  latest 2027-01-15T08:00:00.000Z  credential=c  name=entra-2026",
            "  Make a new one.",
        ];
        assert_eq!(failure_lines(&failure), expected);
    }

    #[test]
    fn nobody_hears_that_nobody_reads() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(unless_closed(Err(closed.into())).is_ok());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(unless_closed(Err(full.into())).is_err());
    }
}
