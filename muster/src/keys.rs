//! Commands on the keys that sign tokens.

use muster_directory::{
    domain::signing_key::{Algorithm, State},
    service::{Directory, KeyState},
};
use serde_json::{Value, json};

use crate::{arguments::Key, credentials::operator, output};

/// Runs one command.
pub(crate) async fn run(command: Key, directory: &Directory) -> anyhow::Result<()> {
    // Keys belong to no tenant.
    let caller = operator("");
    match command {
        Key::List { json } => {
            let keys = directory.list_keys().await?;
            let keys: Vec<_> = keys.iter().map(shown).collect();
            output::many(
                &keys,
                &["kid", "algorithm", "state", "sign_from", "sign_until"],
                json,
            )?;
        }
        Key::Rotate { algorithm, json } => {
            let algorithm = algorithm.map(|name| name.parse::<Algorithm>());
            let algorithm = algorithm.transpose();
            let algorithm = algorithm.map_err(|rule| anyhow::anyhow!("--algorithm {rule}"))?;
            directory.check_sealing().await?;
            let key = directory.rotate_key(&caller, algorithm).await?;
            output::one(&shown(&key), json)?;
        }
        Key::Revoke { kid, reason, json } => {
            let key = directory.revoke_key(&caller, &kid, &reason).await?;
            output::one(&shown(&key), json)?;
        }
    }
    Ok(())
}

fn shown(key: &KeyState) -> Value {
    let state = match key.state {
        State::Published => "published",
        State::Signing => "signing",
        State::VerifyOnly => "verify-only",
        State::Retired => "retired",
        State::Revoked => "revoked",
    };
    let (key, life) = (&key.key, &key.key.life);
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm.to_string(),
        "state": state,
        "stored": key.private.is_some(),
        "created_at": output::instant(Some(key.created_at)),
        "sign_from": output::instant(Some(life.sign_from)),
        "sign_until": output::instant(life.sign_until),
        "verify_until": output::instant(life.verify_until()),
        "revoked_at": output::instant(life.revoked_at),
        "revoke_reason": key.revoke_reason,
    })
}
