//! Bad input: a clear SCIM error, nothing half-written, nothing of the store.

use muster_tests::{
    raw::{self, RawConnection, RawReply},
    scim::{GROUP, PATCH, Scim, USER, query},
};
use serde_json::{Value, json};

/// Sends bytes as a SCIM body.
fn send(
    scim: &Scim,
    method: &str,
    path: &str,
    body: impl Into<Vec<u8>>,
) -> muster_tests::scim::Reply {
    scim.request(method, path)
        .header("content-type", "application/scim+json")
        .body(body)
        .send()
}

#[track_caller]
fn assert_nothing_was_written(scim: &Scim) {
    for collection in ["/Users", "/Groups"] {
        let list = scim.get(collection).status(200);
        assert_eq!(list.total(), 0, "{list}");
    }
}

#[test]
fn malformed_json_is_invalid_syntax() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", super::tenant().scim().user("elsewhere"));
    for bad in [
        "",
        "{",
        "{\"userName\":\"a\"",
        "{\"userName\":\"a\",}",
        "{'userName':'a'}",
        "{\"userName\":\"a\"} trailing",
        "userName=a",
        "[]",
        "\"text\"",
        "null",
        "7",
        "{\"userName\":\"\\ud800\"}",
        "{\"userName\":\"a\",\"n\":1e999}",
    ] {
        for (method, target) in [("POST", "/Users"), ("POST", "/Groups"), ("PATCH", &path)] {
            let reply = send(&scim, method, target, bad);
            // Which user is meant may be looked at before the body is read.
            if reply.code() != 404 {
                let _ = reply.scim_error(400, "invalidSyntax");
            }
        }
    }
    assert_nothing_was_written(&scim);
}

#[test]
fn invalid_utf_8_is_invalid_syntax() {
    let scim = super::tenant().scim();
    for bad in [
        &b"{\"userName\":\"\xff\"}"[..],
        b"\xff\xfe{\0}\0",
        b"{\"\xc3\x28\":1}",
    ] {
        let _ = send(&scim, "POST", "/Users", bad).scim_error(400, "invalidSyntax");
    }
    assert_nothing_was_written(&scim);
}

#[test]
fn duplicate_keys_are_invalid_syntax() {
    let scim = super::tenant().scim();
    for bad in [
        r#"{"userName":"a","userName":"b"}"#,
        r#"{"userName":"a","USERNAME":"b"}"#,
        r#"{"userName":"a","name":{"givenName":"a","givenname":"b"}}"#,
        r#"{"userName":"a","emails":[{"value":"a","value":"b"}]}"#,
    ] {
        let _ = send(&scim, "POST", "/Users", bad).scim_error(400, "invalidSyntax");
    }
    assert_nothing_was_written(&scim);
}

#[test]
fn values_of_the_wrong_type_are_invalid_values() {
    let scim = super::tenant().scim();
    for (name, value) in [
        ("userName", json!({"a": 1})),
        ("userName", json!(["a"])),
        ("userName", json!("")),
        ("userName", json!(null)),
        ("displayName", json!({"a": 1})),
        ("displayName", json!([1])),
        ("active", json!("perhaps")),
        ("active", json!([true])),
        ("name", json!("Ada")),
        ("name", json!([1])),
        ("emails", json!(true)),
        ("emails", json!([[1]])),
        ("emails", json!([{"value": {"a": 1}}])),
        ("emails", json!([{"value": "a", "primary": "perhaps"}])),
        (
            "emails",
            json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]),
        ),
        ("x509Certificates", json!([{"value": "no base64!"}])),
        ("externalId", json!({"a": 1})),
        (muster_tests::scim::ENTERPRISE, json!("text")),
    ] {
        let mut body = json!({"schemas": [USER], "userName": "a"});
        body[name] = value.clone();
        let reply = scim.post("/Users", &body);
        assert_eq!(reply.code(), 400, "{name} = {value}: {reply}");
        let _ = reply.scim_error(400, "invalidValue");
    }
    assert_nothing_was_written(&scim);
}

#[test]
fn near_misses_are_taken_for_what_they_mean() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": 7, "active": "FALSE", "emails": "a@b.test"});
    let user = scim.post("/Users", &body).status(201).json();
    assert_eq!(user["userName"], "7");
    assert_eq!(user["active"], false);
    assert_eq!(user["emails"], json!([{"value": "a@b.test"}]));
}

#[test]
fn required_attributes_that_are_missing_are_invalid_values() {
    let scim = super::tenant().scim();
    let _ = scim
        .post("/Users", &json!({"schemas": [USER]}))
        .scim_error(400, "invalidValue");
    let _ = scim
        .post("/Groups", &json!({"schemas": [GROUP]}))
        .scim_error(400, "invalidValue");
    assert_nothing_was_written(&scim);
}

#[test]
fn unknown_attributes_of_a_resource_are_passed_over() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER, "urn:none:such"], "userName": "a", "shoeSize": 9,
        "name": {"shoeSize": 9}, "emails": [{"value": "a@b.test", "shoeSize": 9}]});
    let reply = scim.post("/Users", &body).status(201);
    assert!(!reply.text().contains("shoeSize"), "{reply}");
}

#[test]
fn bodies_over_the_limit_are_too_large() {
    let tenant = super::tenant();
    let scim = tenant.scim();
    let filler = "x".repeat(1024 * 1024 + 16);
    let body = json!({"schemas": [USER], "userName": "a", "title": filler}).to_string();
    let reply = exchange(&raw::request(
        "POST",
        "/scim/v2/Users",
        &tenant.token,
        body.as_bytes(),
    ));
    reply.scim_error(413, None);
    // The announced length is enough.
    let head = raw::head("POST", "/scim/v2/Users", &tenant.token, 1024 * 1024 + 1);
    exchange(head.as_bytes()).scim_error(413, None);
    // A stranger is sent away before anything is read of the body.
    let head = raw::head("POST", "/scim/v2/Users", "nobody", 1024);
    exchange(head.as_bytes()).scim_error(401, None);
    // The same without a length in advance.
    let head = raw::head("POST", "/scim/v2/Users", &tenant.token, 0)
        .replace("content-length: 0", "transfer-encoding: chunked");
    let mut connection = RawConnection::open(super::server().http_address());
    connection.send(head.as_bytes());
    for _ in 0..40 {
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        connection.send(chunk.as_bytes());
    }
    connection.send(b"0\r\n\r\n");
    connection.reply().scim_error(413, None);
    assert_nothing_was_written(&scim);
}

#[test]
fn who_sends_too_much_still_hears_the_answer() {
    let tenant = super::tenant();
    let body = vec![b' '; 3 * 1024 * 1024];
    for token in [tenant.token.as_str(), "nobody"] {
        let head = raw::head("POST", "/scim/v2/Users", token, body.len());
        let mut bytes = head.replace("connection: close\r\n", "").into_bytes();
        bytes.extend_from_slice(&body);
        // The connection is good for another request.
        bytes.extend(raw::request("GET", "/healthz", "nobody", b""));
        let replies = exchange(&bytes);
        let refused = if token == "nobody" { 401 } else { 413 };
        assert_eq!(replies.status, refused);
        let next = replies.text();
        assert!(next.contains("HTTP/1.1 200 OK"), "{next}");
    }
}

#[test]
fn bodies_below_the_limit_meet_the_limits_of_attributes() {
    let scim = super::tenant().scim();
    let long = "x".repeat(1025);
    let _ = scim
        .post("/Users", &json!({"schemas": [USER], "userName": long}))
        .scim_error(400, "invalidValue");
    let _ = scim
        .post("/Groups", &json!({"schemas": [GROUP], "displayName": long}))
        .scim_error(400, "invalidValue");
    let title = "x".repeat(65_537);
    let _ = scim
        .post(
            "/Users",
            &json!({"schemas": [USER], "userName": "a", "title": title}),
        )
        .scim_error(400, "invalidValue");
    let emails: Vec<Value> = (0..1001)
        .map(|n| json!({"value": format!("{n}@x")}))
        .collect();
    let reply = scim.post(
        "/Users",
        &json!({"schemas": [USER], "userName": "a", "emails": emails}),
    );
    assert!([400, 413].contains(&reply.code()), "{}", reply.code());
    reply.keeps_the_store_to_itself();
    assert_nothing_was_written(&scim);
}

#[test]
fn bodies_nested_too_deeply_are_refused() {
    let scim = super::tenant().scim();
    for depth in [100, 20_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!("{{\"userName\":\"a\",\"urn:x:y:User\":{{\"a\":{nested}}}}}");
        let _ = send(&scim, "POST", "/Users", body).scim_error(400, "invalidSyntax");
    }
    assert_nothing_was_written(&scim);
}

#[test]
fn text_with_a_nul_is_refused() {
    let scim = super::tenant().scim();
    let body = r#"{"userName":"a\u0000b"}"#;
    let reply = send(&scim, "POST", "/Users", body).status(400);
    reply.keeps_the_store_to_itself();
    assert_nothing_was_written(&scim);
    let reply = scim.find("/Users", "userName eq \"a\\u0000b\"");
    assert!([200, 400].contains(&reply.code()), "{reply}");
    reply.keeps_the_store_to_itself();
}

#[test]
fn over_long_and_over_deep_filters_are_invalid_filters() {
    let scim = super::tenant().scim();
    let long = format!("userName eq \"{}\"", "x".repeat(2048));
    let many = vec!["userName pr"; 65].join(" or ");
    let deep = format!("{}userName pr{}", "(".repeat(11), ")".repeat(11));
    let deeper = format!("{}userName pr{}", "not (".repeat(300), ")".repeat(300));
    for filter in [long, many, deep, deeper] {
        let _ = scim
            .find("/Users", &filter)
            .scim_error(400, "invalidFilter");
    }
    let fits = vec!["title pr"; 30].join(" or ");
    let _ = scim.find("/Users", &fits).status(200);
}

#[test]
fn ids_that_are_not_ids_are_not_found() {
    let scim = super::tenant().scim();
    let long = "x".repeat(5000);
    for id in [
        "1",
        "not-an-id",
        "%00",
        "%ff",
        "..%2f..%2fetc",
        "'%20or%201=1",
        "%F0%9F%98%80",
        &long,
    ] {
        for collection in ["Users", "Groups"] {
            let reply = scim.get(&format!("/{collection}/{id}"));
            // What is no text cannot be looked for; all else is just unknown.
            if reply.code() == 400 {
                assert!(id.contains('%'), "{reply}");
                reply.keeps_the_store_to_itself();
            } else {
                let _ = reply.scim_error(404, None);
            }
        }
    }
}

#[test]
fn absurd_page_numbers_are_no_fault_of_the_server() {
    let scim = super::tenant().scim();
    for number in [
        "-9223372036854775808",
        "9223372036854775808",
        "99999999999999999999999",
        "NaN",
        "",
    ] {
        for name in ["startIndex", "count"] {
            let reply = scim.get(&format!("/Users?{name}={number}"));
            assert!([200, 400].contains(&reply.code()), "{reply}");
            reply.keeps_the_store_to_itself();
        }
    }
}

#[test]
fn bad_percent_encoding_is_answered_in_scim() {
    let tenant = super::tenant();
    for target in [
        "/scim/v2/Users?filter=userName+eq+%22%ff%22",
        "/scim/v2/Users?filter=%",
        "/scim/v2/Users?filter=%zz",
        "/scim/v2/Users?startIndex=%ff",
    ] {
        let reply = exchange(&raw::request("GET", target, &tenant.token, b""));
        assert_eq!(reply.status, 400, "{target}: {}", reply.text());
        assert_eq!(reply.json()["schemas"][0], muster_tests::scim::ERROR);
    }
    // Nobody asked for this parameter.
    let target = "/scim/v2/Users?%ff=%zz&count=";
    let reply = exchange(&raw::request("GET", target, &tenant.token, b""));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn a_query_that_is_no_uri_is_refused_before_any_handler() {
    let tenant = super::tenant();
    for target in [
        "/scim/v2/Users?filter=userName eq \"a\"",
        "/scim/v2/Users?filter=\"a\"",
        "/scim/v2/Users?filter=<a>",
    ] {
        let reply = exchange(&raw::request("GET", target, &tenant.token, b""));
        assert_eq!(reply.status, 400, "{target}");
    }
}

#[test]
fn unknown_routes_are_not_found_in_scim() {
    let scim = super::tenant().scim();
    for path in ["/Devices", "/users", "/Users/a/b", "/Groups/a/members"] {
        let _ = scim.get(path).scim_error(404, None);
    }
}

#[test]
fn wrong_methods_are_not_allowed_and_say_which_are() {
    let scim = super::tenant().scim();
    let user = format!("/Users/{}", scim.user("a"));
    for (method, path) in [
        ("PUT", "/Users"),
        ("PATCH", "/Users"),
        ("DELETE", "/Users"),
        ("POST", user.as_str()),
        ("DELETE", "/Groups"),
        ("BREW", "/Users"),
    ] {
        let reply = scim.request(method, path).json(&json!({})).send();
        let allow = reply.header("allow").unwrap_or_default().to_owned();
        let _ = reply.scim_error(405, None);
        assert!(allow.contains("GET"), "{method} {path}: {allow:?}");
    }
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn other_content_types_are_unsupported() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"}).to_string();
    for content_type in [
        "text/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let draft = scim
            .request("POST", "/Users")
            .header("content-type", content_type);
        let _ = draft.body(body.clone()).send().scim_error(415, None);
    }
    assert_nothing_was_written(&scim);
    for (n, content_type) in [
        "application/scim+json; charset=utf-8",
        "application/json",
        "Application/JSON;charset=UTF-8",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"schemas": [USER], "userName": format!("u{n}")}).to_string();
        let draft = scim
            .request("POST", "/Users")
            .header("content-type", content_type);
        let _ = draft.body(body).send().status(201);
    }
}

#[test]
fn too_many_operations_are_refused_whole() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    let before = scim.get(&path).etag();
    let one = json!({"op": "replace", "path": "title", "value": "T"});
    let reply = scim.patch(&path, &Value::Array(vec![one; 1001]));
    assert!([400, 413].contains(&reply.code()), "{reply}");
    reply.keeps_the_store_to_itself();
    assert_eq!(scim.get(&path).etag(), before);
}

#[test]
fn every_verb_with_every_kind_of_nonsense_is_never_the_servers_fault() {
    let scim = super::tenant().scim();
    let user = format!("/Users/{}", scim.user("a"));
    let group = format!("/Groups/{}", scim.group("G", &[]));
    let bodies = [
        json!({}),
        json!({"schemas": "x"}),
        json!({"schemas": [7]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "", "value": 1}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "emails[]"}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": {}}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [null]}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"": 1}}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "emails[type eq \"w\"].value.x", "value": 1}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "urn:x:", "value": 1}]}),
        json!({"userName": "x".repeat(100_000)}),
        json!({"displayName": "D", "members": "all"}),
        json!({"displayName": "D", "members": [{"value": 7}]}),
        json!({"displayName": "D", "members": [{"display": "nobody"}]}),
    ];
    for body in &bodies {
        for (method, path) in [
            ("POST", "/Users"),
            ("POST", "/Groups"),
            ("PUT", user.as_str()),
            ("PUT", group.as_str()),
            ("PATCH", user.as_str()),
            ("PATCH", group.as_str()),
        ] {
            let reply = scim.request(method, path).json(body).send();
            assert!(reply.code() < 500, "{body}: {reply}");
            reply.keeps_the_store_to_itself();
        }
    }
    let queries = [
        query(&[("attributes", "emails[type eq \"w\"]")]),
        query(&[("attributes", "shoeSize,,.,urn:")]),
        query(&[("excludedAttributes", "\u{0}")]),
        query(&[("sortBy", "shoeSize"), ("sortOrder", "sideways")]),
        query(&[("filter", "a"), ("filter", "b")]),
        "&&&=&a".to_owned(),
        "x".repeat(8000),
    ];
    for query in queries {
        for path in ["/Users", "/Groups", user.as_str(), group.as_str()] {
            let reply = scim.get(&format!("{path}?{query}"));
            assert!(reply.code() < 500, "{reply}");
            reply.keeps_the_store_to_itself();
        }
    }
}

/// RFC 9112 section 3.2.
#[test]
fn a_request_that_names_no_host_or_two_is_refused() {
    for (hosts, status) in [
        ("", 400),
        ("host: a.test\r\nhost: b.test\r\n", 400),
        ("host: a\"b<c>\r\n", 400),
        ("host: a.test\r\n", 200),
        ("host: [::1]:8080\r\n", 200),
    ] {
        let head = format!("GET /healthz HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        assert_eq!(exchange(head.as_bytes()).status, status, "{hosts}");
    }
    let old = exchange(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
}

#[track_caller]
fn exchange(bytes: &[u8]) -> RawReply {
    raw::exchange(super::server().http_address(), bytes)
}
