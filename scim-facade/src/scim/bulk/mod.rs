//! Bulk requests: RFC 7644 section 3.7. What is asked for, in which order it can
//! be done, and the answer; doing it is the business of `http`.
//!
//! Operations name resources that another one makes by its `bulkId`. They are
//! done in the order of the request, but for those that must wait: see
//! [`Plan`].

mod plan;
mod reference;

pub use plan::{Plan, Step, Unique};

use super::{
    document,
    error::ScimError,
    flavor::Accents,
    json::{Json, Members},
    urn,
};

/// Most operations of a request.
pub const MAX_OPERATIONS: usize = 1000;

/// Most references by bulkId of a request, all operations together.
pub const MAX_REFERENCES: usize = 10_000;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// After how many errors to stop; `None`: never.
    pub fail_on_errors: Option<usize>,
    /// In the order of the request.
    pub operations: Vec<Operation>,
}

/// One operation, as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Operation {
    /// In upper case; empty when it is missing.
    pub method: String,
    /// The client's name for the operation.
    pub bulk_id: Option<String>,
    /// Entity tag that the resource must have.
    pub version: Option<String>,
    /// Relative to the base path.
    pub path: String,
    /// The body that a request of its own would have.
    pub data: Members,
    /// What is wrong with it, so that it cannot be done.
    pub fault: Option<ScimError>,
}

/// Whether this stands for an id that another operation makes.
pub fn is_reference(id: &str) -> bool {
    reference::name(id).is_some()
}

/// Reads a bulk request. What is wrong with a single operation is kept with it.
///
/// # Errors
/// `invalidSyntax` and `invalidValue` for what concerns the whole, 413 for more
/// than [`MAX_OPERATIONS`] or [`MAX_REFERENCES`].
pub fn read(mut body: Members, accents: Accents<'_>) -> Result<Request, ScimError> {
    let schemas = body.take("schemas");
    document::check_schemas(schemas.as_ref(), urn::BULK_REQUEST, accents)?;
    let fail_on_errors = match body.take("failOnErrors") {
        None | Some(Json::Null) => None,
        // Serializers write 0 for what nobody set.
        Some(Json::Number(number)) if number.as_u64().is_some() => {
            let most = number.as_u64().filter(|most| *most > 0);
            most.and_then(|most| usize::try_from(most).ok())
        }
        Some(_) => {
            let detail = "failOnErrors must be a whole number, not below 0.";
            return Err(ScimError::invalid_value(detail));
        }
    };
    let Some(Json::Array(operations)) = body.take("Operations") else {
        return Err(ScimError::invalid_syntax("Operations must be a list."));
    };
    if operations.len() > MAX_OPERATIONS {
        let detail = format!("A bulk may have at most {MAX_OPERATIONS} operations (tooMany).");
        return Err(ScimError::too_large(detail));
    }
    let mut operations: Vec<_> = operations.into_iter().map(operation).collect();
    let references = operations.iter().map(|o| reference::count(&o.data));
    if references.sum::<usize>() > MAX_REFERENCES {
        let detail = format!("A bulk may have at most {MAX_REFERENCES} references by bulkId.");
        return Err(ScimError::too_large(detail));
    }
    refuse_second_names(&mut operations);
    Ok(Request {
        fail_on_errors,
        operations,
    })
}

fn operation(json: Json) -> Operation {
    let Json::Object(mut members) = json else {
        return Operation {
            fault: Some(ScimError::invalid_syntax("An operation must be an object.")),
            ..Operation::default()
        };
    };
    let mut operation = Operation::default();
    let mut text = |name: &str| match members.take(name) {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text),
        Some(_) => {
            let detail = format!("{name} must be a string.");
            operation.fault = Some(ScimError::invalid_syntax(detail));
            None
        }
    };
    let (method, path) = (text("method"), text("path"));
    let (bulk_id, version) = (text("bulkId"), text("version"));
    operation.method = method.unwrap_or_default().to_ascii_uppercase();
    operation.path = path.unwrap_or_default();
    operation.bulk_id = bulk_id;
    operation.version = version;
    match members.take("data") {
        None | Some(Json::Null) => {}
        Some(Json::Object(data)) => operation.data = data,
        Some(_) => {
            operation.fault = Some(ScimError::invalid_syntax("data must be an object."));
        }
    }
    let fault = operation.fault.take();
    operation.fault = fault.or_else(|| operation.missing());
    operation
}

impl Operation {
    /// Whether it makes a resource.
    pub fn is_post(&self) -> bool {
        self.method == "POST"
    }

    fn missing(&self) -> Option<ScimError> {
        let detail = match self.method.as_str() {
            "POST" if self.bulk_id.as_deref().is_none_or(str::is_empty) => {
                "An operation that makes a resource must have a bulkId."
            }
            "POST" | "PUT" | "PATCH" | "DELETE" => return None,
            _ => "method must be POST, PUT, PATCH or DELETE.",
        };
        Some(ScimError::invalid_value(detail))
    }
}

/// A name that two operations have names neither of them plainly; the first
/// keeps it.
fn refuse_second_names(operations: &mut [Operation]) {
    let mut seen = std::collections::HashSet::new();
    for operation in operations.iter_mut().filter(|o| o.is_post()) {
        if let Some(name) = &operation.bulk_id
            && !seen.insert(name.clone())
        {
            let detail = format!("bulkId {name:?} is there twice.");
            operation.fault = Some(ScimError::invalid_value(detail));
        }
    }
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// HTTP status.
    pub status: u16,
    /// URL of the resource; `None` when there is none.
    pub location: Option<String>,
    /// Its entity tag afterwards, when it is known.
    pub version: Option<String>,
    /// Why it failed.
    pub error: Option<ScimError>,
}

impl Done {
    /// An operation that failed, on a resource that stays where it is.
    pub fn failed(error: ScimError, location: Option<String>) -> Self {
        Self {
            status: error.status(),
            location,
            version: None,
            error: Some(error),
        }
    }
}

/// The answer. Operations that were not reached are not in it.
pub fn render(operations: &[Operation], results: Vec<Option<Done>>) -> Json {
    let each = operations.iter().zip(results);
    let each = each.filter_map(|(operation, done)| Some(result(operation, done?)));
    Json::object([
        ("schemas", vec![urn::BULK_RESPONSE.into()].into()),
        ("Operations", Json::Array(each.collect())),
    ])
}

fn result(operation: &Operation, done: Done) -> Json {
    let mut members = Members::default();
    members.push("method", operation.method.as_str());
    for (name, text) in [
        ("bulkId", operation.bulk_id.clone()),
        ("version", done.version),
        ("location", done.location),
    ] {
        if let Some(text) = text {
            members.push(name, text);
        }
    }
    members.push("status", done.status.to_string());
    if let Some(error) = done.error {
        members.push("response", error.render());
    }
    Json::Object(members)
}

#[cfg(test)]
mod tests;
