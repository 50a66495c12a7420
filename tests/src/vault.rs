//! A key encryption key of a test's own, and what lies in a database under it:
//! the keys with which a server signs.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::{
    cli::Admin,
    jws::Signer,
    server::{Launch, Server},
    tamper,
};

/// The variable of the key encryption key.
pub const VARIABLE: &str = "MUSTER_KEY_ENCRYPTION_KEY";

const KEY: [u8; 32] = *b"a key of tests, and of no others";

/// The key as settings have it.
pub fn key() -> String {
    STANDARD.encode(KEY)
}

/// A server that seals its signing keys under this key.
pub fn sealed(launch: Launch) -> Launch {
    launch.env(VARIABLE, &key())
}

/// The admin commands on the database of such a server.
pub fn admin(server: &Server) -> Admin {
    server.admin().env(VARIABLE, &key())
}

/// The keys with which such a server signs, the newest last.
#[track_caller]
pub fn signers(server: &Server) -> Vec<Signer> {
    let statement = "SELECT kid || ' ' || algorithm || ' ' || private_key FROM signing_keys \
                     ORDER BY created_at";
    let rows = tamper::texts(server, statement);
    let signers = rows.iter().map(|row| {
        let parts: Vec<_> = row.split(' ').collect();
        let [kid, algorithm, sealed] = parts[..] else {
            panic!("no key: {row}");
        };
        let signer = Signer::from_pkcs8(algorithm, &open(kid, sealed));
        assert_eq!(signer.kid(), kid, "a kid is a thumbprint");
        signer
    });
    signers.collect()
}

#[track_caller]
fn open(name: &str, sealed: &str) -> Vec<u8> {
    let text = sealed.strip_prefix("v1.").expect("the format's name");
    let mut bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let (nonce, sealed) = bytes.split_at_mut(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("a nonce");
    let key = UnboundKey::new(&AES_256_GCM_SIV, &KEY).expect("a key");
    let opened = LessSafeKey::new(key).open_in_place(nonce, Aad::from(name), sealed);
    opened.expect("it is sealed under this key").to_vec()
}
