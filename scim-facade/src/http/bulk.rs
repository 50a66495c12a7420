//! `/Bulk`: each operation is what a request of its own would be.

use std::sync::Arc;

use axum::http::Method;
use futures_util::{StreamExt as _, stream};
use muster_proto::schema::{Kind, Uniqueness};
use percent_encoding::percent_decode_str;

use super::{
    exchange::{Answer, Exchange, Fault},
    journal::{Note, Part},
    precondition::Conditions,
    reply::Outcome,
    routes::{self, Verb},
};
use crate::scim::{
    bulk::{self, Done, Operation, Plan, Request, Step, Unique},
    error::ScimError,
    json::Members,
};

/// Most operations that are in flight at a time: as many as the directory
/// commits together.
const IN_FLIGHT: usize = 64;

pub(super) async fn run(exchange: &Exchange) -> Answer {
    let profile = exchange.admit().await?;
    if profile.tag != exchange.profile.tag {
        return Err(Fault::Stale);
    }
    let request = bulk::read(exchange.object()?, exchange.accents())?;
    let unique = unique(exchange);
    let mut plan = Plan::new(&request, &unique);
    let mut results = vec![None; request.operations.len()];
    loop {
        if is_enough(&request, &results) {
            plan.stop();
        }
        let Some(step) = plan.next_step() else {
            break;
        };
        match step {
            Step::Refuse(index, error) => {
                plan.failed(index);
                let operation = &request.operations[index];
                let location = named_location(exchange, operation);
                let note = Arc::new(note(operation));
                part(exchange, &note).tell(error.status(), Some(&error));
                refuse(&mut results[index], error, location);
            }
            Step::Do(operations) => {
                for (index, made) in together(exchange, &request, operations).await {
                    match &made.id {
                        Some(id) => plan.made(index, id),
                        None => plan.failed(index),
                    }
                    results[index] = Some(made.done);
                }
            }
            Step::Add(index, body) => {
                let path = location_path(&request, index, exchange, results[index].as_ref());
                let patched = perform(exchange, "PATCH", &path, Conditions::default(), body).await;
                match patched.done.error {
                    Some(error) => refuse(&mut results[index], error, None),
                    None => {
                        if let Some(done) = &mut results[index] {
                            done.version = patched.done.version.or(done.version.take());
                        }
                    }
                }
            }
        }
    }
    let answer = bulk::render(&request.operations, results);
    Ok(Outcome::Document(answer))
}

/// What the tenant's schemas call unique.
fn unique(exchange: &Exchange) -> Vec<Unique> {
    let types = exchange.registry().resource_types().into_iter();
    let schemas = types.flat_map(|kind| kind.extensions);
    let unique = schemas.flat_map(|schema| {
        let attributes = schema.attributes.iter();
        let unique = attributes.filter(|a| a.uniqueness == Uniqueness::Server);
        unique.map(|attribute| Unique {
            urn: schema.urn,
            name: attribute.name,
            is_text: matches!(attribute.kind, Kind::String | Kind::Reference),
        })
    });
    unique.collect()
}

/// Whether there were as many errors as the client accepts.
fn is_enough(request: &Request, results: &[Option<Done>]) -> bool {
    let errors = results.iter().flatten().filter(|done| done.error.is_some());
    request
        .fail_on_errors
        .is_some_and(|most| errors.count() >= most)
}

/// The operation failed; what it made before stays where it is.
fn refuse(result: &mut Option<Done>, error: ScimError, named: Option<String>) {
    let made = result.take().and_then(|done| done.location);
    // Whatever it was, the references conflict with what there is.
    let error = match &made {
        Some(_) => ScimError::new(
            409,
            format!("It was made without its references: {}", error.detail()),
        ),
        None => error,
    };
    *result = Some(Done::failed(error, made.or(named)));
}

/// What is noted of an operation that is not done.
fn note(operation: &Operation) -> Note {
    let method = verb(&operation.method);
    match find(&operation.method, &operation.path) {
        Ok((target, id)) => Note::new(target.operation(), &method, &id),
        Err(_) => Note::stray(&method),
    }
}

/// Where the resource is that an operation names: RFC 7644 section 3.7 wants it
/// told of whatever fails but a POST.
fn named_location(exchange: &Exchange, operation: &Operation) -> Option<String> {
    let (target, id) = find(&operation.method, &operation.path).ok()?;
    target.location(exchange, &id)
}

/// Path of what an operation made.
fn location_path(
    request: &Request,
    index: usize,
    exchange: &Exchange,
    result: Option<&Done>,
) -> String {
    let location = result.and_then(|done| done.location.as_deref());
    let path = location.and_then(|url| url.strip_prefix(&exchange.links.endpoint("")));
    path.unwrap_or(&request.operations[index].path).to_owned()
}

/// What an operation does, and with what.
#[derive(Debug, Clone, Copy)]
enum Target {
    User(Verb),
    Group(Verb),
}

impl Target {
    /// What a request of its own would ask for.
    fn operation(self) -> routes::Operation {
        match self {
            Self::User(verb) => routes::Operation::Users(verb),
            Self::Group(verb) => routes::Operation::Groups(verb),
        }
    }

    /// Where the resource with this id is; `None` for one that has none yet, or
    /// whose id another operation will make.
    fn location(self, exchange: &Exchange, id: &str) -> Option<String> {
        let registry = exchange.registry();
        let kind = match self {
            Self::User(_) => registry.user,
            Self::Group(_) => registry.group,
        };
        let is_named = !id.is_empty() && !bulk::is_reference(id);
        is_named.then(|| exchange.links.resource(kind.endpoint, id))
    }
}

/// What became of an operation, and of which resource.
struct Made {
    id: Option<String>,
    done: Done,
}

async fn together(
    exchange: &Exchange,
    request: &Request,
    operations: Vec<(usize, String, Members)>,
) -> Vec<(usize, Made)> {
    let each = operations.into_iter().map(|(index, path, data)| {
        let operation = &request.operations[index];
        let conditions = match &operation.version {
            Some(tag) => Conditions::version(tag),
            None => Conditions::default(),
        };
        async move {
            let made = perform(exchange, &operation.method, &path, conditions, data).await;
            (index, made)
        }
    });
    let each: Vec<_> = each.collect();
    stream::iter(each).buffered(IN_FLIGHT).collect().await
}

async fn perform(
    exchange: &Exchange,
    method: &str,
    path: &str,
    conditions: Conditions,
    data: Members,
) -> Made {
    let (target, id) = match find(method, path) {
        Ok(found) => found,
        Err(error) => {
            let note = Arc::new(Note::stray(&verb(method)));
            part(exchange, &note).tell(error.status(), Some(&error));
            return Made {
                id: None,
                done: Done::failed(error, None),
            };
        }
    };
    let location = target.location(exchange, &id);
    let note = Note::new(target.operation(), &verb(method), &id);
    let request = exchange.part(id.clone(), conditions, data, note);
    let part = part(exchange, &request.note);
    let made = match once_or_twice(target, request).await {
        Ok(outcome) => made(outcome, id, location),
        Err(error) => Made {
            id: None,
            done: Done::failed(error, location),
        },
    };
    part.tell(made.done.status, made.done.error.as_ref());
    made
}

/// Of what the request tells when it is done, or ends before.
fn part<'a>(exchange: &'a Exchange, note: &Arc<Note>) -> Part<'a> {
    Part::new(&exchange.note, note, exchange.caller.request_id())
}

/// The method of an operation; of one that HTTP does not have, any.
fn verb(method: &str) -> Method {
    Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST)
}

/// Does it, once more when the connection's profile changed meanwhile.
async fn once_or_twice(target: Target, part: Exchange) -> Result<Outcome, ScimError> {
    let answer = match once(target, &part).await {
        Err(Fault::Stale) => once(target, &part.clone().renewed().await?).await,
        answer => answer,
    };
    answer.map_err(|fault| match fault {
        Fault::Own(error) | Fault::Directory(error) => {
            part.heed(&error);
            error
        }
        Fault::Stale => ScimError::unavailable(),
    })
}

async fn once(target: Target, part: &Exchange) -> Answer {
    match target {
        Target::User(verb) => routes::run_users(verb, part).await,
        Target::Group(verb) => routes::run_groups(verb, part).await,
    }
}

fn made(outcome: Outcome, id: String, location: Option<String>) -> Made {
    let (status, version, location) = match outcome {
        Outcome::Shown(status, shown) => {
            (status.as_u16(), Some(shown.version), Some(shown.location))
        }
        Outcome::Done => (204, None, location),
        Outcome::Unshown { status, location } => (status.as_u16(), None, Some(location)),
        Outcome::NotModified { version, location } => (304, Some(version), Some(location)),
        Outcome::Document(_) => (200, None, location),
    };
    let last = location.as_deref().and_then(|url| url.rsplit('/').next());
    let id = match id.is_empty() {
        true => last.unwrap_or_default().to_owned(),
        false => id,
    };
    Made {
        id: Some(id),
        done: Done {
            status,
            location,
            version,
            error: None,
        },
    }
}

/// What a method does at a path, and with which id.
fn find(method: &str, path: &str) -> Result<(Target, String), ScimError> {
    let segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (kind, id): (fn(Verb) -> Target, _) = match segments[..] {
        ["Users"] => (Target::User, ""),
        ["Users", id] => (Target::User, id),
        ["Groups"] => (Target::Group, ""),
        ["Groups", id] => (Target::Group, id),
        _ => return Err(ScimError::new(404, "There is no such endpoint.")),
    };
    let verb = match (method, id.is_empty()) {
        (method, true) if method == Method::POST => Verb::Create,
        (method, false) if method == Method::PUT => Verb::Replace,
        (method, false) if method == Method::PATCH => Verb::Patch,
        (method, false) if method == Method::DELETE => Verb::Delete,
        _ => {
            let detail = "The endpoint does not have this method.";
            return Err(ScimError::new(405, detail));
        }
    };
    let id = percent_decode_str(id).decode_utf8();
    let id = id.map_err(|_| ScimError::not_found())?;
    Ok((kind(verb), id.into_owned()))
}
