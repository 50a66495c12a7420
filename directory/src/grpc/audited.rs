//! Refused calls in the audit: what was done is recorded with it, what was not
//! is recorded here.

use std::borrow::Cow;

use tonic::{Response, Status};

use super::status::{refusal, status};
use crate::{
    auth::Caller,
    domain::history::{Refusal, ResourceType},
    error::{Error, Result},
    service::Directory,
};

/// A call that the audit knows: the RPC's name, and what it is about.
pub(super) struct Call {
    method: &'static str,
    resource_type: ResourceType,
    resource_id: String,
}

/// Longest id in an entry, in bytes: none of ours is longer.
const ID_LIMIT: usize = 64;

impl Call {
    pub(super) fn new(method: &'static str, kind: impl Into<ResourceType>, id: &str) -> Self {
        // What is no id of ours may be anything, a name above all.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_id = id.len() <= ID_LIMIT && id.chars().all(plain);
        Self {
            method,
            resource_type: kind.into(),
            resource_id: if is_id { id.to_owned() } else { String::new() },
        }
    }
}

/// Answers a call, and records it when it is refused.
pub(super) async fn audited<T>(
    directory: &Directory,
    caller: &Caller,
    call: Call,
    work: impl Future<Output = Result<T>>,
) -> Result<Response<T>, Status> {
    match work.await {
        Ok(answer) => Ok(Response::new(answer)),
        Err(error) => {
            if let Some(refusal) = refusal(&error) {
                let about = (call.resource_type, call.resource_id);
                record(directory, caller, call.method.into(), about, refusal).await;
            }
            Err(status(error))
        }
    }
}

/// Records that a caller asked for what he may not.
pub(super) async fn denied(directory: &Directory, caller: &Caller, path: &str, error: &Error) {
    let method = path.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(refusal) = refusal(error) {
        // What it was about was not looked at.
        let about = (ResourceType::Unknown, String::new());
        record(directory, caller, method.into(), about, refusal).await;
    }
}

async fn record(
    directory: &Directory,
    caller: &Caller,
    method: Cow<'static, str>,
    about: (ResourceType, String),
    refusal: Refusal,
) {
    let recorded = directory
        .audit_refusal(caller, method, about, refusal)
        .await;
    if let Err(error) = recorded {
        tracing::warn!(%error, "a refused call is not in the audit");
    }
}
