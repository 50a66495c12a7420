//! RFC 7644 sections 3.5.2 and 3.12: how a PATCH fails.

use muster_tests::scim::{ENTERPRISE, GROUP, PATCH, Scim, USER};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{NOBODY, both, refused, server, strict, tenant};

fn one_user(scim: &Scim) -> String {
    let id = scim.post("/Users", &ada()).status(201).id();
    format!("/Users/{id}")
}

/// Each of these fails with one of its keywords, alone and behind an operation
/// that is well, and changes nothing.
#[track_caller]
fn all_fail(scim: &Scim, path: &str, cases: &[(Value, &[&str])]) {
    let before = scim.get(path).status(200);
    let good = json!({"op": "replace", "path": "title", "value": "Half"});
    for (bad, keywords) in cases {
        for operations in [json!([bad]), json!([good, bad]), json!([bad, good])] {
            refused(&scim.patch(path, &operations), 400, keywords);
        }
    }
    let after = scim.get(path).status(200);
    assert_eq!(after.json(), before.json());
    assert_eq!(after.etag(), before.etag());
}

#[test]
fn what_the_server_writes_is_not_patched() {
    let mutability = &["mutability"][..];
    for scim in both() {
        let path = one_user(&scim);
        all_fail(
            &scim,
            &path,
            &[
                (
                    json!({"op": "replace", "path": "id", "value": NOBODY}),
                    mutability,
                ),
                (json!({"op": "remove", "path": "id"}), mutability),
                (
                    json!({"op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z"}),
                    mutability,
                ),
                (json!({"op": "remove", "path": "meta"}), mutability),
                (
                    json!({"op": "add", "path": "groups", "value": [{"value": NOBODY}]}),
                    mutability,
                ),
                (json!({"op": "remove", "path": "groups"}), mutability),
                (
                    json!({"op": "replace", "path": "groups[type eq \"direct\"].display", "value": "x"}),
                    &["mutability", "noTarget"],
                ),
                (
                    json!({"op": "replace", "path": format!("{ENTERPRISE}:manager.displayName"), "value": "x"}),
                    mutability,
                ),
            ],
        );
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn what_is_required_is_not_removed() {
    let mutability = &["mutability"][..];
    let words = &["mutability", "invalidValue"][..];
    for scim in both() {
        let path = one_user(&scim);
        all_fail(
            &scim,
            &path,
            &[
                (json!({"op": "remove", "path": "userName"}), mutability),
                (
                    json!({"op": "replace", "path": "userName", "value": null}),
                    words,
                ),
                (
                    json!({"op": "replace", "path": "userName", "value": ""}),
                    words,
                ),
                (json!({"op": "replace", "value": {"userName": null}}), words),
            ],
        );
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn a_removal_of_what_is_required_is_a_matter_of_mutability() {
    for scim in both() {
        let path = one_user(&scim);
        let removal = json!({"op": "remove", "path": "userName"});
        all_fail(&scim, &path, &[(removal, &["mutability"])]);
        let _ = scim.delete(&path).status(204);
        let name = format!("G{}", scim.get("/Groups").total());
        let group = format!("/Groups/{}", scim.group(&name, &[]));
        let reply = scim.patch(&group, &json!([{"op": "remove", "path": "displayName"}]));
        refused(&reply, 400, &["mutability"]);
        assert_eq!(scim.get(&group).json()["displayName"], name);
    }
}

#[test]
fn paths_that_are_none_are_invalid() {
    for scim in both() {
        let path = one_user(&scim);
        let malformed = [
            "emails[type eq",
            "emails[type eq \"work\"",
            "emails[type eq \"work\"]value",
            "emails[type eq \"work\"].",
            "emails[]",
            "emails[type eq \"work\"][value pr]",
            "name.",
            ".name",
            "name..givenName",
            "name givenName",
            "name.givenName.x",
            "7",
            "emails[0]",
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
        ];
        let cases: Vec<(Value, &[&str])> = malformed
            .iter()
            .map(|bad| {
                let operation = json!({"op": "replace", "path": bad, "value": "x"});
                (operation, &["invalidPath", "invalidFilter", "noTarget"][..])
            })
            .collect();
        all_fail(&scim, &path, &cases);
        let unknown = &["invalidPath", "noTarget"][..];
        all_fail(
            &scim,
            &path,
            &[
                (
                    json!({"op": "add", "path": "shoeSize", "value": "9"}),
                    unknown,
                ),
                (
                    json!({"op": "replace", "path": "name.shoeSize", "value": "9"}),
                    unknown,
                ),
                (json!({"op": "remove", "path": "shoeSize"}), unknown),
                (
                    json!({"op": "replace", "path": "userName[value eq \"a\"]", "value": "x"}),
                    &["invalidPath", "invalidFilter", "noTarget"],
                ),
                (
                    json!({"op": "add", "path": format!("{ENTERPRISE}:shoeSize"), "value": "9"}),
                    unknown,
                ),
                (
                    json!({"op": "remove", "path": "emails[shoeSize eq 9]"}),
                    &["invalidPath", "invalidFilter"],
                ),
            ],
        );
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn values_that_do_not_fit_are_invalid() {
    let words = &["invalidValue", "invalidSyntax"][..];
    for scim in both() {
        let path = one_user(&scim);
        all_fail(
            &scim,
            &path,
            &[
                (
                    json!({"op": "replace", "path": "active", "value": "perhaps"}),
                    words,
                ),
                (
                    json!({"op": "replace", "path": "active", "value": 7}),
                    words,
                ),
                (
                    json!({"op": "replace", "path": "title", "value": {"a": 1}}),
                    words,
                ),
                (
                    json!({"op": "replace", "path": "title", "value": ["a", "b"]}),
                    words,
                ),
                (json!({"op": "add", "path": "name", "value": "Ada"}), words),
                (
                    json!({"op": "add", "path": "emails", "value": [[1]]}),
                    words,
                ),
                (
                    json!({"op": "add", "path": "emails", "value": [true]}),
                    words,
                ),
                (
                    json!({"op": "replace", "path": "emails[type eq \"work\"].primary", "value": "perhaps"}),
                    words,
                ),
                (
                    json!({"op": "add", "path": "x509Certificates", "value": [{"value": "not base64!"}]}),
                    words,
                ),
                (json!({"op": "add", "path": "title"}), words),
                (json!({"op": "replace", "path": "title"}), words),
                (json!({"op": "add", "value": "x"}), words),
                (json!({"op": "replace", "value": 7}), words),
                (
                    json!({"op": "add", "path": "emails", "value": [
                {"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
                    words,
                ),
            ],
        );
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn a_removal_without_a_path_has_no_target() {
    for scim in both() {
        let path = one_user(&scim);
        all_fail(&scim, &path, &[(json!({"op": "remove"}), &["noTarget"])]);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn strictly_a_filter_that_finds_nothing_has_no_target() {
    let scim = strict();
    let path = one_user(&scim);
    let nothing = &["noTarget"][..];
    all_fail(
        &scim,
        &path,
        &[
            (
                json!({"op": "replace", "path": "emails[type eq \"other\"].value", "value": "x@y.test"}),
                nothing,
            ),
            (
                json!({"op": "replace", "path": "emails[type eq \"other\"]", "value": {"value": "x@y.test"}}),
                nothing,
            ),
            (
                json!({"op": "replace", "path": "phoneNumbers[value eq \"none\"].display", "value": "x"}),
                nothing,
            ),
            (
                json!({"op": "replace", "path": "ims[type eq \"xmpp\"].value", "value": "x"}),
                nothing,
            ),
            (
                json!({"op": "remove", "path": "emails[type eq \"other\"]"}),
                nothing,
            ),
            (
                json!({"op": "remove", "path": "emails[type eq \"other\"].display"}),
                nothing,
            ),
        ],
    );
    let group = json!({"schemas": [GROUP], "displayName": "Crew"});
    let group = scim.post("/Groups", &group).status(201);
    let group = format!("/Groups/{}", group.id());
    for path in ["members[value eq \"nobody\"]", "members[type eq \"Group\"]"] {
        let reply = scim.patch(&group, &json!([{"op": "remove", "path": path}]));
        refused(&reply, 400, nothing);
    }
}

#[test]
fn a_removal_by_a_filter_that_finds_nothing_succeeds_for_provisioning_clients() {
    for flavor in ["entra", "okta"] {
        let scim = tenant().flavored(server(), flavor);
        let path = one_user(&scim);
        let before = scim.get(&path).etag();
        let gone = json!([{"op": "remove", "path": "emails[type eq \"other\"]"}]);
        let _ = scim.patch(&path, &gone).status(200);
        assert_eq!(scim.get(&path).etag(), before);
    }
}

#[test]
fn envelopes_that_are_none_are_refused() {
    for scim in both() {
        let path = one_user(&scim);
        let before = scim.get(&path).etag();
        for body in [
            json!([]),
            json!({"schemas": [PATCH]}),
            json!({"schemas": [PATCH], "Operations": {}}),
            json!({"schemas": [PATCH], "Operations": [7]}),
            json!({"schemas": [PATCH], "Operations": [{"path": "title", "value": "T"}]}),
            json!({"schemas": [PATCH], "Operations": [{"op": "move", "path": "title", "value": "T"}]}),
            json!({"schemas": [PATCH], "Operations": [{"op": null, "path": "title", "value": "T"}]}),
            json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": 7, "value": "T"}]}),
        ] {
            let reply = scim.request("PATCH", &path).json(&body).send();
            refused(
                &reply,
                400,
                &["invalidSyntax", "invalidValue", "invalidPath"],
            );
        }
        assert_eq!(scim.get(&path).etag(), before);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn a_conflict_takes_the_whole_request_back() {
    for scim in both() {
        let path = one_user(&scim);
        let size = scim.get("/Users").total();
        scim.user(&format!("taken-{size}"));
        let before = scim.get(&path).status(200);
        let operations = json!([
            {"op": "replace", "path": "title", "value": "Half"},
            {"op": "replace", "path": "userName", "value": format!("TAKEN-{size}")},
            {"op": "remove", "path": "emails"},
        ]);
        refused(&scim.patch(&path, &operations), 409, &["uniqueness"]);
        assert_eq!(scim.get(&path).status(200).json(), before.json());
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn nobody_is_not_patched() {
    for scim in both() {
        let operations = json!([{"op": "replace", "path": "displayName", "value": "T"}]);
        for id in [NOBODY, "nobody"] {
            let _ = scim
                .patch(&format!("/Users/{id}"), &operations)
                .scim_error(404, None);
            let _ = scim
                .patch(&format!("/Groups/{id}"), &operations)
                .scim_error(404, None);
        }
        let _ = scim.patch("/Users", &operations).scim_error(405, None);
    }
}

#[test]
fn members_are_immutable_and_must_exist() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let (a, b) = (
            scim.user(&format!("a{size}")),
            scim.user(&format!("b{size}")),
        );
        let group = scim.group(&format!("G{size}"), &[&a]);
        let path = format!("/Groups/{group}");
        let before = scim.get(&path).status(200);
        let of = format!("members[value eq \"{a}\"].value");
        let reply = scim.patch(&path, &json!([{"op": "replace", "path": of, "value": b}]));
        refused(&reply, 400, &["mutability", "invalidPath", "invalidValue"]);
        let of = format!("members[value eq \"{a}\"].display");
        let reply = scim.patch(&path, &json!([{"op": "replace", "path": of, "value": "x"}]));
        refused(&reply, 400, &["mutability", "invalidPath"]);
        for unknown in [NOBODY, "nobody"] {
            let value = json!([{"value": b}, {"value": unknown}]);
            let reply = scim.patch(
                &path,
                &json!([{"op": "add", "path": "members", "value": value}]),
            );
            refused(&reply, 400, &["invalidValue"]);
        }
        let after = scim.get(&path).status(200);
        assert_eq!((after.json(), after.etag()), (before.json(), before.etag()));
    }
}

#[test]
fn the_schema_of_a_message_is_needed_strictly() {
    let scim = strict();
    let path = one_user(&scim);
    let operations = json!([{"op": "replace", "path": "title", "value": "T"}]);
    for schemas in [Value::Null, json!([]), json!([USER]), json!("x")] {
        let body = json!({"schemas": schemas, "Operations": operations});
        let reply = scim.request("PATCH", &path).json(&body).send();
        refused(&reply, 400, &["invalidSyntax", "invalidValue"]);
    }
    let body = json!({"Operations": operations});
    let reply = scim.request("PATCH", &path).json(&body).send();
    refused(&reply, 400, &["invalidSyntax", "invalidValue"]);
}
