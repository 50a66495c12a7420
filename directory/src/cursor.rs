//! Opaque texts handed to callers: revisions and page tokens.
//!
//! A cursor is its payload with a MAC under a key of the store, so that a
//! caller can neither make nor change one, and one kind never passes for
//! another. None of them opens anything.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{
        history::{Position, hex},
        page::Place,
    },
    error::{Error, Result},
};

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;

/// Bytes of the MAC that are kept; 128 bits.
const MAC_BYTES: usize = 16;

/// How long a page token is good, in milliseconds.
const PAGE_TOKEN_LIFE_MS: i64 = muster_proto::PAGE_TOKEN_LIFE_S as i64 * 1_000;

/// Makes and reads cursors.
#[derive(Clone)]
pub struct Cursors {
    mac: Hmac<Sha256>,
    /// AES-GCM-SIV: the nonce is made of the text, and one that repeats tells no
    /// more than that the text does.
    hiding: Arc<LessSafeKey>,
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursors")
    }
}

impl Cursors {
    /// With the store's key.
    ///
    /// # Errors
    /// [`Error::Internal`] never: the MAC takes keys of any length.
    pub fn new(key: &[u8]) -> Result<Self> {
        let mac: Hmac<Sha256> = Hmac::new_from_slice(key).map_err(|e| Error::Internal(e.into()))?;
        let mut derived = mac.clone();
        derived.update(b"hiding");
        let hiding = UnboundKey::new(&AES_256_GCM_SIV, &derived.finalize().into_bytes());
        let hiding = hiding.map_err(|e| Error::Internal(e.into()))?;
        Ok(Self {
            mac,
            hiding: Arc::new(LessSafeKey::new(hiding)),
        })
    }

    /// A point in a tenant's history.
    pub fn revision(&self, tenant_id: &str, at: &Position) -> String {
        let Position { epoch, revision } = at;
        self.seal("revision", &format!("{epoch}/{tenant_id}/{revision}"))
    }

    /// The point in the tenant's history that a revision stands for. Whether
    /// it lies in the history as it is now is the caller's to ask.
    ///
    /// # Errors
    /// [`Error::RevisionInvalid`] when it is another tenant's, or was not made
    /// here.
    pub fn open_revision(&self, tenant_id: &str, token: &str) -> Result<Position> {
        let payload = self.open("revision", token);
        let payload = payload.ok_or(Error::RevisionInvalid)?;
        let mut parts = payload.split('/');
        let (Some(epoch), Some(tenant), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::RevisionInvalid);
        };
        match number.parse() {
            Ok(revision) if tenant == tenant_id => Ok(Position {
                epoch: epoch.to_owned(),
                revision,
            }),
            _ => Err(Error::RevisionInvalid),
        }
    }

    /// Where a snapshot goes on, for a snapshot told apart from others by
    /// `of`.
    pub fn snapshot(&self, of: &[u8], place: &str) -> String {
        self.seal("snapshot", &format!("{}/{place}", fingerprint(of)))
    }

    /// The place at which a snapshot goes on.
    ///
    /// # Errors
    /// [`Error::PageTokenInvalid`] when the token was made for another
    /// snapshot, or not here.
    pub fn open_snapshot(&self, of: &[u8], token: &str) -> Result<String> {
        let payload = self
            .open("snapshot", token)
            .ok_or(Error::PageTokenInvalid)?;
        match payload.split_once('/') {
            Some((made_for, place)) if made_for == fingerprint(of) => Ok(place.to_owned()),
            _ => Err(Error::PageTokenInvalid),
        }
    }

    /// Where a list goes on: behind `last`, for a list told apart from others
    /// by `list`, to whoever asked at `now_ms` (milliseconds since the Unix
    /// epoch).
    pub fn page(&self, list: &[u8], last: &Place, now_ms: i64) -> String {
        let place = last.text();
        self.hide("page", &format!("{}/{now_ms}/{place}", fingerprint(list)))
    }

    /// The place behind which the list goes on; `None` for the first page.
    ///
    /// # Errors
    /// [`Error::PageTokenInvalid`] when the token was made for another list,
    /// or not here; [`Error::PageTokenExpired`].
    pub fn open_page(&self, list: &[u8], token: &str, now_ms: i64) -> Result<Option<Place>> {
        if token.is_empty() {
            return Ok(None);
        }
        let payload = self.uncover("page", token);
        let payload = payload.ok_or(Error::PageTokenInvalid)?;
        let mut parts = payload.splitn(3, '/');
        let (Some(made_for), Some(made_at), Some(place)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::PageTokenInvalid);
        };
        let (Ok(made_at), Some(place)) = (made_at.parse::<i64>(), Place::read(place)) else {
            return Err(Error::PageTokenInvalid);
        };
        if made_for != fingerprint(list) {
            return Err(Error::PageTokenInvalid);
        }
        if now_ms.saturating_sub(made_at) > PAGE_TOKEN_LIFE_MS {
            return Err(Error::PageTokenExpired);
        }
        Ok(Some(place))
    }

    fn seal(&self, kind: &str, payload: &str) -> String {
        let mut bytes = payload.as_bytes().to_vec();
        bytes.extend_from_slice(
            &self
                .authenticate(kind, payload.as_bytes())
                .finalize()
                .into_bytes()[..MAC_BYTES],
        );
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(&self, kind: &str, token: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let expected = self.authenticate(kind, payload);
        expected.verify_truncated_left(mac).ok()?;
        String::from_utf8(payload.to_vec()).ok()
    }

    /// A text that nobody can read: what a list is sorted by may be personal.
    fn hide(&self, kind: &str, payload: &str) -> String {
        let mut nonce = [0; NONCE_LEN];
        let digest = self.authenticate(kind, payload.as_bytes()).finalize();
        nonce.copy_from_slice(&digest.into_bytes()[..NONCE_LEN]);
        let mut bytes = payload.as_bytes().to_vec();
        let sealed = self.hiding.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(kind),
            &mut bytes,
        );
        match sealed {
            Ok(()) => URL_SAFE_NO_PAD.encode([nonce.as_slice(), &bytes].concat()),
            // Only for texts of many gigabytes.
            Err(_) => String::new(),
        }
    }

    fn uncover(&self, kind: &str, token: &str) -> Option<String> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let payload = self.hiding.open_in_place(nonce, Aad::from(kind), sealed);
        String::from_utf8(payload.ok()?.to_vec()).ok()
    }

    fn authenticate(&self, kind: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(payload);
        mac
    }
}

fn fingerprint(list: &[u8]) -> String {
    hex(&Sha256::digest(list)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(key: u8) -> Cursors {
        Cursors::new(&[key; KEY_BYTES]).unwrap()
    }

    const NOW: i64 = 1_700_000_000_000;

    fn page(list: &[u8], id: &str) -> String {
        cursors(1).page(list, &Place::of(id), NOW)
    }

    fn position(revision: i64) -> Position {
        Position {
            epoch: "epoch".to_owned(),
            revision,
        }
    }

    #[test]
    fn a_revision_is_read_by_its_own_tenant_and_store_only() {
        let token = cursors(1).revision("t", &position(7));
        assert_eq!(cursors(1).open_revision("t", &token).unwrap(), position(7));
        for (key, tenant, token) in [
            (2, "t", token.as_str()),
            (1, "u", &token),
            (1, "t", &token[1..]),
            (1, "t", ""),
            (1, "t", &page(b"t", "epoch/t/7")),
            (1, "t", &cursors(1).snapshot(b"t", "7")),
        ] {
            let opened = cursors(key).open_revision(tenant, token);
            assert!(matches!(opened, Err(Error::RevisionInvalid)), "{token}");
        }
    }

    #[test]
    fn a_page_token_goes_on_with_its_own_list() {
        let token = page(b"users", "id-7");
        let open = |token: &str, now_ms| cursors(1).open_page(b"users", token, now_ms);
        assert_eq!(open(&token, NOW).unwrap(), Some(Place::of("id-7")));
        assert_eq!(open("", NOW).unwrap(), None);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(token.chars().all(unreserved), "{token}");
    }

    #[test]
    fn a_page_token_lives_for_an_hour() {
        let token = page(b"users", "id-7");
        let open = |now_ms| cursors(1).open_page(b"users", &token, now_ms);
        assert!(open(NOW + PAGE_TOKEN_LIFE_MS).is_ok());
        let late = open(NOW + PAGE_TOKEN_LIFE_MS + 1);
        assert!(matches!(late, Err(Error::PageTokenExpired)));
        let foreign = cursors(1).open_page(b"groups", &token, i64::MAX);
        assert!(matches!(foreign, Err(Error::PageTokenInvalid)));
    }

    #[test]
    fn a_token_of_another_list_key_or_kind_is_refused() {
        let token = page(b"users", "id-7");
        let revision = cursors(1).revision("t", &position(7));
        for (key, list, token) in [
            (1, &b"groups"[..], token.as_str()),
            (2, b"users", &token),
            (1, b"users", &revision),
            (1, b"users", &token[1..]),
            (1, b"users", "%"),
            (1, b"users", "AA"),
        ] {
            assert!(cursors(key).open_page(list, token, NOW).is_err());
        }
    }
}
