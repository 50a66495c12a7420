//! The language of the token endpoint: RFC 6749 section 4.4 with client
//! authentication by secret (section 2.3.1) or assertion (RFC 7523 section
//! 2.2), and what it says of itself: [`metadata`]. Pure; HTTP is
//! `http/token.rs` and `http/wellknown.rs`.

pub mod metadata;

use base64::{Engine as _, engine::general_purpose::STANDARD};

const GRANT: &str = "client_credentials";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who asks for a token, and what proves it. Has no `Debug`: it is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The client's id.
    pub client_id: String,
    /// Its proof.
    pub proof: Proof,
}

/// What proves the client.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// Its secret.
    Secret(String),
    /// A JWT of its own issuer.
    Assertion(String),
}

/// What a client is told: RFC 6749 section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The request is malformed, for this reason.
    InvalidRequest(&'static str),
    /// The client is unknown or not proven. One answer for all causes.
    InvalidClient,
    /// Another grant than client credentials.
    UnsupportedGrantType,
    /// The client cannot be checked now. The RFC has no word for this at the
    /// token endpoint; this is the one that it has elsewhere.
    TemporarilyUnavailable,
    /// There are too many requests. The same word: what it means elsewhere is a
    /// temporary overload. `slow_down` (RFC 8628) is for polling by devices, and
    /// a word of our own would be known to nobody; the status of RFC 6585 tells
    /// this one from the other.
    TooManyRequests,
    /// A fault of ours.
    ServerError,
}

impl Error {
    /// The word of the RFC.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::TemporarilyUnavailable | Self::TooManyRequests => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// A sentence for whoever sets the client up.
    pub fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest(why) => why,
            Self::InvalidClient => "The client is unknown or its proof is not valid.",
            Self::UnsupportedGrantType => "Only client_credentials is supported.",
            Self::TemporarilyUnavailable => crate::scim::error::UNAVAILABLE,
            Self::TooManyRequests => crate::scim::error::TOO_MANY_REQUESTS,
            Self::ServerError => crate::scim::error::INTERNAL,
        }
    }
}

/// The parameters that are looked at; others are ignored, as the RFC demands,
/// `scope` among them: a token gives what its connection may do.
#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    assertion_type: Option<String>,
    assertion: Option<String>,
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "grant_type" => &mut form.grant_type,
                "client_id" => &mut form.client_id,
                "client_secret" => &mut form.client_secret,
                "client_assertion_type" => &mut form.assertion_type,
                "client_assertion" => &mut form.assertion,
                _ => continue,
            };
            // Section 3.2: without a value it counts as absent.
            if !value.is_empty() && field.replace(value.into_owned()).is_some() {
                return Err(Error::InvalidRequest("A parameter stands there twice."));
            }
        }
        Ok(form)
    }
}

/// Reads a request for a token: its form, and its `Authorization` header.
///
/// # Errors
/// [`Error::InvalidRequest`], [`Error::UnsupportedGrantType`],
/// [`Error::InvalidClient`] when it brings no authentication, or one that is
/// not understood.
pub fn parse(body: &[u8], authorization: Option<&str>) -> Result<TokenRequest, Error> {
    let form = Form::parse(body)?;
    match form.grant_type.as_deref() {
        Some(GRANT) => {}
        Some(_) => return Err(Error::UnsupportedGrantType),
        None => return Err(Error::InvalidRequest("grant_type is required.")),
    }
    let basic = authorization.map(basic).transpose()?;
    match (basic, form.client_secret, form.assertion) {
        (Some((id, secret)), None, None) => {
            // Some clients repeat their id in the form; it proves nothing.
            if form.client_id.is_some_and(|repeated| repeated != id) {
                return Err(Error::InvalidRequest("Two client ids are given."));
            }
            Ok(request(id, Proof::Secret(secret)))
        }
        (None, Some(secret), None) => Ok(request(required(form.client_id)?, Proof::Secret(secret))),
        (None, None, Some(jwt)) => {
            if form.assertion_type.as_deref() != Some(ASSERTION_TYPE) {
                return Err(Error::InvalidRequest(
                    "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
                ));
            }
            Ok(request(required(form.client_id)?, Proof::Assertion(jwt)))
        }
        (None, None, None) => Err(Error::InvalidClient),
        // Section 2.3.
        _ => Err(Error::InvalidRequest(
            "More than one client authentication is given.",
        )),
    }
}

fn request(client_id: String, proof: Proof) -> TokenRequest {
    TokenRequest { client_id, proof }
}

fn required(client_id: Option<String>) -> Result<String, Error> {
    client_id.ok_or(Error::InvalidRequest("client_id is required."))
}

/// Id and secret of HTTP Basic, each form-encoded before they are joined
/// (section 2.3.1).
fn basic(authorization: &str) -> Result<(String, String), Error> {
    let decode = || {
        let (scheme, credentials) = authorization.trim().split_once(' ')?;
        let credentials = STANDARD.decode(credentials.trim()).ok()?;
        let credentials = String::from_utf8(credentials).ok()?;
        let (id, secret) = credentials.split_once(':')?;
        let basic = scheme.eq_ignore_ascii_case("basic");
        basic.then(|| Some((form_decode(id)?, form_decode(secret)?)))?
    };
    decode().ok_or(Error::InvalidClient)
}

fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    Some(decoded.ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSERTED: &str = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=a.b.c";

    /// `None` for no header; the text is what Basic encodes.
    fn read(body: &str, basic: Option<&str>) -> Result<(String, String), Error> {
        let header = basic.map(|text| format!("basic {}", STANDARD.encode(text)));
        let read = parse(body.as_bytes(), header.as_deref())?;
        let proof = match read.proof {
            Proof::Secret(secret) => secret,
            Proof::Assertion(jwt) => format!("jwt {jwt}"),
        };
        Ok((read.client_id, proof))
    }

    #[track_caller]
    fn check(body: &str, basic: Option<&str>, expected: (&str, &str)) {
        let (id, proof) = read(body, basic).expect(body);
        assert_eq!((id.as_str(), proof.as_str()), expected);
    }

    #[test]
    fn the_three_ways_of_client_authentication() {
        let form = "grant_type=client_credentials&client_id=i&client_secret=s";
        check(form, None, ("i", "s"));
        check(&format!("{form}&scope=scim&x=1&x=2"), None, ("i", "s"));
        let encoded = "client%5Fid=i%201&client_secret=%2B%3D+&grant_type=client%5fcredentials";
        check(encoded, None, ("i 1", "+= "));
        let grant = "grant_type=client_credentials";
        check(grant, Some("i:s"), ("i", "s"));
        check(grant, Some("i%3A+1:s:%25"), ("i: 1", "s:%"));
        check(&format!("{grant}&client_id=i"), Some("i:s"), ("i", "s"));
        check(&format!("{grant}&client_secret="), Some("i:s"), ("i", "s"));
        let asserted = format!("{grant}&client_id=i&{ASSERTED}&scope=scim");
        check(&asserted, None, ("i", "jwt a.b.c"));
    }

    #[test]
    fn requests_that_are_not_sound() {
        let invalid = |body: &str, basic| match read(body, basic) {
            Err(Error::InvalidRequest(_)) => {}
            other => panic!("{body}: {other:?}"),
        };
        let grant = "grant_type=client_credentials";
        invalid("", None);
        invalid("client_id=i&client_secret=s", None);
        invalid("{\"grant_type\":\"client_credentials\"}", None);
        invalid(
            &format!("{grant}&{grant}&client_id=i&client_secret=s"),
            None,
        );
        invalid(&format!("{grant}&client_secret=s"), None);
        invalid(&format!("{grant}&{ASSERTED}"), None);
        invalid(&format!("{grant}&client_id=i&client_assertion=a.b.c"), None);
        let other = "client_id=i&client_assertion_type=x&client_assertion=a";
        invalid(&format!("{grant}&{other}"), None);
        invalid(&format!("{grant}&client_id=j"), Some("i:s"));
        invalid(&format!("{grant}&client_id=i&client_secret=s"), Some("i:s"));
        invalid(&format!("{grant}&client_id=i&{ASSERTED}"), Some("i:s"));
        let both = format!("{grant}&client_id=i&client_secret=s&{ASSERTED}");
        invalid(&both, None);
    }

    #[test]
    fn other_grants_and_missing_clients() {
        let password = read("grant_type=password&username=a&password=b", None);
        assert_eq!(password, Err(Error::UnsupportedGrantType));
        let grant = "grant_type=client_credentials";
        assert_eq!(read(grant, None), Err(Error::InvalidClient));
        let id = format!("{grant}&client_id=i");
        assert_eq!(read(&id, None), Err(Error::InvalidClient));
        assert_eq!(read(grant, Some("no colon")), Err(Error::InvalidClient));
        for header in [
            "Bearer abc",
            "Basic",
            "Basic !",
            "Digest aTpz",
            "Basic /////w==",
        ] {
            let read = parse(grant.as_bytes(), Some(header));
            assert_eq!(read.err(), Some(Error::InvalidClient), "{header}");
        }
    }
}
