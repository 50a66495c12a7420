//! A small sign-in service, from one end to the other: Entra provisions a person over
//! SCIM, she signs in, Entra disables her, and her session dies within a second.
//!
//! `examples/sso/run` builds everything and runs it. What a real service would keep is
//! in [`sso`]; [`muster`] starts the directory, [`entra`] plays the provisioning client.

#![allow(clippy::print_stdout, reason = "it tells what happens")]

mod entra;
mod muster;
mod sso;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use muster_client::{Client, Error};

use crate::{
    entra::Entra,
    muster::Muster,
    sso::{Sso, Trust},
};

/// What the sign-in service may do, and no more.
const SCOPES: &str = "users.read.basic,users.resolve,users.link,groups.read,\
                      tokens.issue,changes.read,signals.read";

/// Who issues ID tokens.
const ENTRA: &str = "https://login.example.test/tenant";

/// Within this time a session must be dead.
const PROMISED: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let muster = Muster::start().await?;
    let key = muster.service_key("sign-in", SCOPES).await?;
    let client = Client::builder()
        .endpoint(&muster.grpc)
        .service_key(key)
        .build()?;
    let entra = Entra::new(&muster.tenant_url, &muster.secret_token);
    let trust = Trust {
        identity_provider: ENTRA.to_owned(),
        directory: muster.issuer.clone(),
        tenant_id: muster.tenant_id.clone(),
        connection_id: muster.connection_id.clone(),
    };
    let sso = Sso::start(&client, trust).await?;
    println!("The sign-in service listens on {}.", sso.url);

    let oid = uuid::Uuid::new_v4().to_string();
    let ada = entra.create("ada@example.test", &oid).await?;
    println!("Entra provisioned ada@example.test.");

    // What a browser brings back from Entra, once the ID token is checked.
    let claims = serde_json::json!({
        "iss": ENTRA,
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "oid": oid,
    });
    let login = format!("{}/login", sso.url);
    let (status, said) = entra::post(&login, &claims).await?;
    ensure!(status == 200, "she could not sign in: {status} {said}");
    let session = said["session"].as_str().context("no session")?.to_owned();
    ensure!(said["linked"] == true, "she was not linked: {said}");
    let token = said["access_token"].as_str().context("no token")?;
    let checked = sso.verifier.verify(token).await?;
    ensure!(checked.sub == ada, "the token is another's: {checked:?}");
    println!("She signed in, and was linked; her token is good.");
    let (status, again) = entra::post(&login, &claims).await?;
    ensure!(status == 200, "she could not sign in: {status} {again}");
    ensure!(again["linked"] == false, "she was linked before: {again}");
    ensure!(sso.sessions() == 2, "{} sessions", sso.sessions());
    println!("She signed in again, by her identity alone.");
    let mut others = claims.clone();
    others["iss"] = "https://login.other.test/tenant".into();
    let (status, said) = entra::post(&login, &others).await?;
    ensure!(
        status == 403,
        "another issuer's word counts: {status} {said}"
    );

    let me = format!("{}/me", sso.url);
    let (status, said) = entra::get(&me, &session).await?;
    ensure!(status == 200, "her session is not good: {status} {said}");
    println!("Her session is good: she is {}.", said["user_name"]);

    entra.disable(&ada).await?;
    let disabled = Instant::now();
    println!("Entra disabled her.");
    let is_dead = async || Ok(entra::get(&me, &session).await?.0 == 401);
    let took = becomes_true("her session is dead", disabled, is_dead).await?;
    println!("Her session was dead {took} ms after Entra's answer.");
    let are_gone = async || Ok(sso.sessions() == 0);
    let took = becomes_true("no session is left", disabled, are_gone).await?;
    println!("Nothing was left of her sessions {took} ms after it.");
    match sso.verifier.verify(token).await {
        Err(Error::TokenRefused(fault)) => println!("Her token is refused: {fault}."),
        other => bail!("her token is not refused: {other:?}"),
    }
    let (status, said) = entra::post(&login, &claims).await?;
    ensure!(status == 403, "she signed in: {status} {said}");
    println!("She cannot sign in: {}.", said["error"]);
    muster.stop().await
}

/// Waits until something is so, and no longer than was promised; how long that took, in
/// milliseconds.
async fn becomes_true(
    what: &str,
    since: Instant,
    is_so: impl AsyncFn() -> Result<bool>,
) -> Result<u128> {
    loop {
        let so = is_so().await?;
        let took = since.elapsed();
        ensure!(took < PROMISED, "after {took:?} it was not so that {what}");
        if so {
            return Ok(took.as_millis());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
