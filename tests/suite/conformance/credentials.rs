//! RFC 7644 section 7.4: bearer tokens end, and nobody guesses them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use muster_tests::{oauth::Client, scim::Scim, tenant::Tenant};
use serde_json::Value;

use super::{server, tenant};

/// What stands before the random part of a token.
const KIND: &str = "musc_";
/// Digits that 256 bits take in base 62.
const DIGITS: usize = 43;

#[track_caller]
fn wait_until_refused(scim: &Scim) {
    // Expiry counts within a second; the rest is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(10);
    while scim.get("/Users").code() != 401 {
        assert!(Instant::now() < deadline, "the token still works");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the command line lists of a credential.
#[track_caller]
fn listed(tenant: &Tenant, id: &str) -> Value {
    let arguments = [
        "credential",
        "list",
        "--connection",
        "entra",
        "--tenant",
        &tenant.id,
    ];
    let list = server().admin().json(&arguments);
    let mut found = list.as_array().into_iter().flatten();
    let found = found.find(|credential| credential["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {list}")).clone()
}

#[test]
fn a_token_with_a_limited_lifetime_ends() {
    let tenant = tenant();
    let (long, token) = tenant.credential(server(), "entra", &["--expires-in", "1h"]);
    let _ = tenant.scim_with(&token).get("/Users").status(200);
    assert!(listed(&tenant, &long)["expires_at"].is_string());
    let (short, token) = tenant.credential(server(), "entra", &["--expires-in", "1s"]);
    assert!(listed(&tenant, &short)["expires_at"].is_string());
    wait_until_refused(&tenant.scim_with(&token));
    // Without a limit there is none.
    assert!(listed(&tenant, &tenant.credential_id)["expires_at"].is_null());
    let _ = tenant.scim().get("/Users").status(200);
}

#[test]
fn an_access_token_says_that_it_lives_an_hour() {
    let client = Client::create(server(), &tenant());
    let answer: Value = serde_json::from_slice(client.trade(&client.secret).bytes()).expect("JSON");
    assert_eq!(answer["expires_in"], 3600, "{answer}");
}

#[test]
fn tokens_are_long_and_have_nothing_in_common() {
    let tenant = tenant();
    let tokens: Vec<String> = (0..12)
        .map(|_| tenant.credential(server(), "entra", &[]).1)
        .collect();
    for token in &tokens {
        let random = token.strip_prefix(KIND).expect("the kind comes first");
        let letters = random.bytes().filter(u8::is_ascii_alphanumeric);
        assert!(letters.count() > DIGITS, "{token}");
    }
    // Of 62 digits and 12 tokens, a place with fewer than 4 is no chance.
    let length = tokens[0].len();
    assert!(tokens.iter().all(|token| token.len() == length));
    let varied = (KIND.len()..length).filter(|&at| {
        let digits = tokens.iter().map(|token| token.as_bytes()[at]);
        digits.collect::<BTreeSet<u8>>().len() > 3
    });
    assert!(varied.count() >= DIGITS - 1, "{tokens:#?}");
    let pieces = tokens
        .iter()
        .flat_map(|token| token.as_bytes()[KIND.len()..].windows(8));
    let all = tokens.len() * (length - KIND.len() - 7);
    assert_eq!(pieces.collect::<BTreeSet<_>>().len(), all, "{tokens:#?}");
}
