//! Connections by policy: the five published integrations, each by its preset, from
//! Test Connection to the leaver's last day; switches that no preset has; and
//! policies that cannot be meant.
//!
//! `docs/presets.md` names these tests in its table, row by row.

mod configcat;
mod generic;
mod policies;
mod refusals;
mod ultimo;
mod weftid;
mod wintro;

use muster_tests::{integration::Integration, scim::Scim, server::Server, tenant::text};
use serde_json::Value;

/// The server that tests share.
fn server() -> &'static Server {
    super::server()
}

/// A new secret while the former one still works, as an operator renews it before it
/// ends: both are good, and the new one goes on alone.
#[track_caller]
fn renew(it: &Integration) -> Scim {
    let id = text(&it.credential, "id");
    let rotated = it.admin(&["credential", "rotate", "--id", &id, "--overlap", "24h"]);
    let rotated = rotated.code(0).json();
    assert!(
        rotated["previous_secret_expires_at"].is_string(),
        "{rotated}"
    );
    assert_eq!(text(&rotated, "tenant_url"), it.tenant_url());
    let (former, new) = (it.scim(), it.scim_with(&text(&rotated, "secret")));
    for scim in [&former, &new] {
        let _ = scim.get("/Users?count=1").status(200);
    }
    new
}

/// Whether nothing is there: absent, null or empty.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty)
}
