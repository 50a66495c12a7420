//! Signed tokens of users: for whom they are made, and what they say.

use muster_proto::v1::{self, GetJwksRequest, IssueUserTokenRequest, user_key::Key};
use muster_tests::{
    grpc::Grpc,
    issuer::now_s,
    jws::{read, thumbprint, verifies},
    runtime::wait,
    scim::USER,
    service::{API, OTHER_API, Service},
    soon::wait_until,
    tenant::text,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{about, ahead, by, personal, refused, seconds, try_issue, try_personal, wanted, world};

/// The set of public keys, and the issuer.
#[track_caller]
pub(super) fn jwks(grpc: &Grpc) -> (Value, String) {
    let answer = wait(grpc.keys().get_jwks(GetJwksRequest::default()));
    let answer = answer.expect("everybody may know them").into_inner();
    let set = serde_json::from_slice(&answer.jwks_json).expect("JSON");
    (set, answer.issuer)
}

#[track_caller]
fn names(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_token_says_what_rfc_9068_asks_for() {
    let world = world();
    let user = world.scim.user("ada");
    let scopes = ["read".to_owned(), "write".to_owned()];
    let before = now_s();
    let issued = world.try_issue(IssueUserTokenRequest {
        scopes: scopes.into(),
        ..wanted(&user)
    });
    let issued = issued.expect("a token");
    assert_eq!(issued.token_type, "Bearer");
    assert_eq!(issued.expires_in, seconds(300));
    let (header, claims) = read(&issued.access_token);
    assert_eq!(
        header,
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": issued.kid})
    );
    let (set, issuer) = jwks(&world.grpc);
    assert!(verifies(&issued.access_token, &set));
    let iat = claims["iat"].as_u64().expect("a number");
    assert!((before..=now_s() + 1).contains(&iat), "{claims}");
    let expected = json!({
        "iss": issuer, "sub": user, "aud": API, "client_id": world.service.id,
        "iat": iat, "exp": iat + 300, "jti": issued.jti, "tid": world.tenant.id,
        "scope": "read write",
    });
    assert_eq!(claims, expected);
}

#[test]
fn the_public_keys_are_public_and_nothing_else() {
    let (set, issuer) = jwks(&Grpc::new(super::super::server().grpc(), None));
    assert!(issuer.starts_with("http://"), "{issuer}");
    for key in set["keys"].as_array().expect("a list") {
        assert_eq!(key["kid"], thumbprint(key), "{key}");
        assert_eq!(key["use"], "sig", "{key}");
        assert_eq!(names(key), ["alg", "crv", "kid", "kty", "use", "x"]);
    }
    let ask = |if_none_match: &str| {
        let grpc = Grpc::new(super::super::server().grpc(), None);
        let request = GetJwksRequest {
            if_none_match: if_none_match.to_owned(),
        };
        let answer = wait(grpc.keys().get_jwks(request));
        answer.expect("an answer").into_inner()
    };
    let first = ask("");
    assert!(first.etag.starts_with('"') && first.etag.len() > 10);
    assert_eq!(first.max_age, seconds(300));
    let again = ask(&first.etag);
    assert!(again.not_modified && again.jwks_json.is_empty());
    assert!(!ask("\"other\"").not_modified);
}

#[test]
fn what_the_caller_knows_of_the_sign_in_is_in_the_token() {
    let world = world();
    let user = world.scim.user("ada");
    let signed_in = ahead(-60);
    let issued = world.try_issue(IssueUserTokenRequest {
        audiences: vec![API.to_owned(), OTHER_API.to_owned()],
        client_id: "portal".to_owned(),
        session_id: "session-1".to_owned(),
        auth_time: Some(signed_in),
        acr: "urn:mace:incommon:iap:silver".to_owned(),
        amr: vec!["pwd".to_owned(), "otp".to_owned()],
        dpop_jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned(),
        lifetime: seconds(3_600),
        ..wanted(&user)
    });
    let issued = issued.expect("a token");
    assert_eq!(issued.token_type, "DPoP");
    let (_, claims) = read(&issued.access_token);
    assert_eq!(claims["aud"], json!([API, OTHER_API]));
    assert_eq!(claims["client_id"], "portal");
    assert_eq!(claims["sid"], "session-1");
    assert_eq!(claims["auth_time"], signed_in.seconds);
    assert_eq!(claims["acr"], "urn:mace:incommon:iap:silver");
    assert_eq!(claims["amr"], json!(["pwd", "otp"]));
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(claims["cnf"], json!({"jkt": jkt}));
    let said = world.introspect(&issued.access_token);
    assert!(said.active);
    assert_eq!(said.dpop_jkt, jkt);

    let bound = world.try_issue(IssueUserTokenRequest {
        mtls_x5t_s256: jkt.to_owned(),
        ..wanted(&user)
    });
    let bound = bound.expect("a token");
    assert_eq!(bound.token_type, "Bearer");
    let (_, claims) = read(&bound.access_token);
    assert_eq!(claims["cnf"], json!({"x5t#S256": jkt}));
    assert_eq!(world.introspect(&bound.access_token).mtls_x5t_s256, jkt);
}

#[test]
fn a_token_lives_a_second_to_an_hour() {
    let world = world();
    let user = world.scim.user("ada");
    let issue = |life| {
        world.try_issue(IssueUserTokenRequest {
            lifetime: life,
            ..wanted(&user)
        })
    };
    for (life, lives) in [(None, 300), (seconds(1), 1), (seconds(3_600), 3_600)] {
        let issued = issue(life).expect("a token");
        assert_eq!(issued.expires_in, seconds(lives));
        let (_, claims) = read(&issued.access_token);
        let (iat, exp) = (claims["iat"].as_i64(), claims["exp"].as_i64());
        assert_eq!(exp.zip(iat).map(|(exp, iat)| exp - iat), Some(lives));
    }
    let nanos = prost_types::Duration {
        seconds: 0,
        nanos: 999_999_999,
    };
    for life in [seconds(0), seconds(-1), seconds(3_601), Some(nanos)] {
        let _ = refused(issue(life), Code::InvalidArgument, "FIELD_INVALID");
    }
    let short = issue(seconds(1)).expect("a token").access_token;
    wait_until("the end of the token", || !world.is_active(&short));
}

#[test]
fn a_client_gives_what_is_registered_for_it_alone() {
    let server = super::super::server();
    let world = world();
    let user = world.scim.user("ada");
    let options = ["--audiences", API, "--token-scopes", "read,write"];
    let scopes = "tokens.issue,tokens.write";
    let service = Service::create_with(server, &world.tenant, scopes, &options);
    let narrow = service.grpc();
    let asked = |audiences: &[&str], scopes: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let request = IssueUserTokenRequest {
            audiences: own(audiences),
            scopes: own(scopes),
            ..wanted(&user)
        };
        let stored = v1::CreatePersonalAccessTokenRequest {
            audiences: own(audiences),
            scopes: own(scopes),
            ..personal(&user)
        };
        let signed = try_issue(&narrow, request).map(|_| ());
        let stored = try_personal(&narrow, stored).map(|_| ());
        [signed, stored]
    };
    for answer in asked(&[API], &["read"]) {
        answer.expect("registered");
    }
    let directory = format!("muster:directory:{}", world.tenant.id);
    for (audiences, scopes, beyond) in [
        (&[OTHER_API][..], &[][..], OTHER_API),
        (&[API, OTHER_API], &[], OTHER_API),
        (
            &["https://API.example.test"],
            &[],
            "https://API.example.test",
        ),
        (&[API], &["read", "admin"], "admin"),
    ] {
        for answer in asked(audiences, scopes) {
            let status = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
            assert_eq!(about(&status, "scope"), beyond);
        }
    }
    for (audiences, scopes) in [
        (&[][..], &[][..]),
        (&[directory.as_str()], &[]),
        (&[&directory.to_uppercase()], &[]),
        (&[""], &[]),
        (&[API], &["a b"]),
        (&[API], &["\""]),
    ] {
        for answer in asked(audiences, scopes) {
            let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
        }
    }
}

#[test]
fn for_a_provisioning_client_no_audience_is_registered() {
    let world = world();
    let user = world.scim.user("ada");
    let all = "tokens.issue,tokens.write";
    let connection = world.tenant.grpc_may(super::super::server(), all);
    let signed = try_issue(&connection, wanted(&user)).map(|_| ());
    let stored = try_personal(&connection, personal(&user)).map(|_| ());
    for answer in [signed, stored] {
        let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    }
}

#[test]
fn a_user_is_named_by_one_key_and_found_by_no_other() {
    let world = world();
    let user = json!({"schemas": [USER], "userName": "Straße", "externalId": "e-1"});
    let user = world.scim.post("/Users", &user).status(201).id();
    let issue = |key: Key| {
        world.try_issue(IssueUserTokenRequest {
            user: Some(by(key)),
            ..wanted("")
        })
    };
    let external = |connection: &str, id: &str| {
        Key::External(v1::ExternalKey {
            connection_id: connection.to_owned(),
            external_id: id.to_owned(),
        })
    };
    let own = &world.tenant.connection_id;
    let others = super::super::tenant();
    for key in [
        Key::Id(user.clone()),
        Key::UserName("STRASSE".to_owned()),
        external(own, "e-1"),
    ] {
        let issued = issue(key).expect("a token");
        assert_eq!(text(&read(&issued.access_token).1, "sub"), user);
    }
    for key in [
        Key::Id("Straße".to_owned()),
        Key::Id(user.to_uppercase()),
        Key::Id("\0".to_owned()),
        Key::UserName(user.clone()),
        Key::UserName("e-1".to_owned()),
        Key::UserName("\0".to_owned()),
        external(own, "E-1"),
        external(&others.connection_id, "e-1"),
        external("", "e-1"),
    ] {
        let what = format!("{key:?}");
        let is_id = matches!(key, Key::Id(_));
        let status = refused(issue(key), Code::NotFound, "USER_NOT_FOUND");
        let told = format!("{status:?}");
        let is_told = ["e-1", "E-1"].iter().any(|name| told.contains(name));
        assert!(is_id || !is_told, "{what} is repeated: {told}");
    }
    let nobody = world.try_issue(IssueUserTokenRequest {
        user: None,
        ..wanted("")
    });
    let why = "REQUIRED_ATTRIBUTE_MISSING";
    let _ = refused(nobody, Code::InvalidArgument, why);
}

#[test]
fn names_are_resolved_for_those_who_may_alone() {
    let server = super::super::server();
    let world = world();
    let user = world.scim.user("ada");
    let service = Service::create(server, &world.tenant, "tokens.issue");
    let blind = service.grpc();
    try_issue(&blind, wanted(&user)).expect("a token");
    // Whether there is such a person or not.
    for name in ["ada", "nobody"] {
        let request = IssueUserTokenRequest {
            user: Some(by(Key::UserName(name.to_owned()))),
            ..wanted("")
        };
        let answer = try_issue(&blind, request);
        let status = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
        assert_eq!(about(&status, "scope"), "users.resolve");
    }
}
