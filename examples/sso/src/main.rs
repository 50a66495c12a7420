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

use anyhow::{Context as _, Result, ensure};
use muster_client::Client;

use crate::{entra::Entra, muster::Muster, sso::Sso};

/// What the sign-in service may do, and no more.
const SCOPES: &str = "users.read.basic,users.resolve,users.link,groups.read,\
                      tokens.issue,changes.read,signals.read";

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
    let sso = Sso::start(&client, &muster.connection_id).await?;
    println!("The sign-in service listens on {}.", sso.url);

    let oid = uuid::Uuid::new_v4().to_string();
    let ada = entra.create("ada@example.test", &oid).await?;
    println!("Entra provisioned ada@example.test.");

    // What a browser brings back from Entra, once the ID token is checked.
    let claims = serde_json::json!({
        "iss": "https://login.example.test/tenant",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "oid": oid,
    });
    let login = format!("{}/login", sso.url);
    let (status, said) = entra::post(&login, &claims).await?;
    ensure!(status == 200, "she could not sign in: {status} {said}");
    let session = said["session"].as_str().context("no session")?.to_owned();
    println!("She signed in, and was linked: {}.", said["linked"]);
    let (_, again) = entra::post(&login, &claims).await?;
    ensure!(again["linked"] == false, "she was linked before: {again}");
    println!("She signed in again, by her identity alone.");

    let me = format!("{}/me", sso.url);
    let (status, said) = entra::get(&me, &session).await?;
    ensure!(status == 200, "her session is not good: {status} {said}");
    println!("Her session is good: she is {}.", said["user_name"]);

    entra.disable(&ada).await?;
    let disabled = Instant::now();
    println!("Entra disabled her.");
    loop {
        let (status, _) = entra::get(&me, &session).await?;
        let took = disabled.elapsed();
        if status == 401 {
            ensure!(took < PROMISED, "her session lived for {took:?}");
            println!(
                "Her session was dead {} ms after Entra's answer.",
                took.as_millis()
            );
            break;
        }
        ensure!(took < PROMISED, "her session lives");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (status, said) = entra::post(&login, &claims).await?;
    ensure!(status == 403, "she signed in: {status} {said}");
    println!("She cannot sign in: {}.", said["error"]);
    muster.stop().await
}
