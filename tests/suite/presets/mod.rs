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

use muster_tests::{
    entra::Entra, integration::Integration, scim::Scim, server::Server, tenant::text,
};
use serde_json::{Value, json};

/// The server that tests share.
fn server() -> &'static Server {
    super::server()
}

/// Plays what the log is to have a line for, each action once: a user comes, changes, is
/// sent as he is, leaves and returns.
#[track_caller]
fn every_action_is_told(it: &Integration, entra: &Entra, body: &Value) {
    let id = entra.scim().post("/Users", body).status(201).id();
    for _ in 0..2 {
        let _ = entra.set(&id, "displayName", &json!("Renamed")).status(200);
    }
    for active in ["False", "True"] {
        let _ = entra.set(&id, "active", &json!(active)).status(200);
    }
    let expected = [
        ("create", "scim_user_received"),
        ("update", "scim_user_updated"),
        ("skip", ""),
        ("disable", "scim_user_deactivated"),
        ("enable", "scim_user_reactivated"),
    ];
    let expected = expected.map(|(operation, event)| (operation.to_owned(), event.to_owned()));
    assert_eq!(it.told(&id, expected.len()), expected);
}

/// A new secret while the former one still works, as an operator renews it before it
/// ends: both are good. That the former one ends is
/// `wintro::a_new_token_takes_over_while_the_old_one_still_works`.
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
