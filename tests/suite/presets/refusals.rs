//! Policies that cannot be meant: the command that sets one says what is wrong, and
//! nothing is made.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use muster_tests::{
    entra::Person,
    integration::{Integration, refused, refused_with, tenant},
    scim::ENTERPRISE,
};
use serde_json::json;

/// Asserts that this policy is refused in these words.
#[track_caller]
fn assert_refused(policy: &str, told: &str) {
    let outcome = refused(super::server(), policy).code(1);
    let said = outcome.stderr();
    assert!(said.contains(told), "{policy}\n{told:?} is not in {said}");
    assert!(
        !said.contains("panicked") && outcome.stdout().is_empty(),
        "{said}"
    );
}

#[test]
fn policies_that_contradict_themselves() {
    for (policy, told) in [
        ("on_match = \"merge\"", "needs a match_order"),
        (
            "match_order = [\"user_name\", \"user_name\"]",
            "match_order names a key twice",
        ),
        (
            "match_order = [\"user_name\"]\nmatch_deleted = true",
            "must be adopt or merge",
        ),
        ("never_overwrite = [\"emails\"]", "needs on_match"),
        (
            "on_other_attributes = \"reject\"",
            "needs allowed_attributes",
        ),
        ("allowed_attributes = [\"userName\"]", "must have active"),
        (
            "allowed_attributes = [\"userName\", \"active\"]\nrequired_attributes = [\"title\"]",
            "title is not allowed, and so never there",
        ),
        (
            "rejected_attributes = [\"title\"]\nrequired_attributes = [\"title\"]",
            "title is required",
        ),
        (
            "rejected_attributes = [\"userName\"]",
            "userName is what users are kept by",
        ),
        ("create_default_groups = true", "needs default_groups"),
        ("credential_limit = 0", "nobody could connect"),
        (
            "user_name_immutable = true\nmirror = { nickName = \"userName\" }",
            "which user_name_immutable keeps as it is",
        ),
        (
            "[[policy.group_roles]]\ngroup = \"A\"\nrole = \"x\"\n\
             [[policy.group_roles]]\ngroup = \"a\"\nrole = \"y\"",
            "is named twice",
        ),
        (
            "[policy.deprovision_guard]\nwindow = \"1h\"",
            "needs max_users or max_percent",
        ),
        (
            "[policy.deprovision_guard]\nmax_users = 5\nwindow = \"1h\"\nmax_hold = \"73h\"",
            "max_hold must be at most 72h",
        ),
    ] {
        assert_refused(policy, told);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let outcome = refused(
        super::server(),
        "on_match = \"merge\"\ncredential_limit = 0\nrequired_attributes = [\"hobby\"]",
    );
    let told = outcome.code(1).stderr();
    for part in [
        "needs a match_order",
        "nobody could connect",
        "hobby names no attribute",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

#[test]
fn an_unknown_key_or_value() {
    assert_refused("groups = true", "unknown field `groups`");
    assert_refused("on_match = \"steal\"", "unknown variant `steal`");
    assert_refused("credential_lifetime = \"soon\"", "\"soon\"");
    assert_refused(
        "[policy.deprovision_guard]\nusers = 3",
        "unknown field `users`",
    );
    assert_refused(
        "required_attributes = [\"emails[primary eq true]\"]",
        "is no path",
    );
}

#[test]
fn an_unknown_preset_or_file() {
    let outcome = refused_with(super::server(), &["--preset", "acme"]);
    let told = outcome.code(1).stderr();
    assert!(
        told.contains("there is no preset \"acme\"; there are"),
        "{told}"
    );
    assert!(told.contains("wintro"), "{told}");
    let outcome = refused_with(super::server(), &["--policy", "/nowhere/policy.toml"]);
    let told = outcome.code(1).stderr();
    assert!(told.contains("/nowhere/policy.toml"), "{told}");
    let both = ["--policy", "x.toml", "--preset", "wintro"];
    let _ = refused_with(super::server(), &both).code(2);
}

#[test]
fn a_default_group_that_does_not_exist() {
    let told = "default_groups names the group \"Everyone\", which is not there";
    assert_refused("default_groups = [\"Everyone\"]", told);
}

#[test]
fn a_default_group_that_was_deleted() {
    let server = super::server();
    let it = Integration::policy_in(server, tenant(server), "");
    let scim = it.scim();
    let group = scim.group("Everyone", &[]);
    let _ = scim.delete(&format!("/Groups/{group}")).status(204);
    for name in [&group, "Everyone"] {
        let told = it
            .edit(&format!("default_groups = [{name:?}]"))
            .code(1)
            .stderr();
        assert!(told.contains("which is not there"), "{told}");
    }
    // What holds is what held before.
    let shown = it
        .admin(&["connection", "show", "provisioning"])
        .code(0)
        .json();
    assert_eq!(shown["policy"]["default_groups"], json!([]));
    let ada = Person::new("Ada", "Lovelace");
    let _ = scim.post("/Users", &ada.mapped()).status(201);
}

#[test]
fn a_protected_user_who_does_not_exist() {
    assert_refused(
        "protected_users = [\"nobody@contoso.test\"]",
        "names the user",
    );
}

#[test]
fn a_list_of_a_hundred_thousand_values() {
    let mut policy = format!("[policy.lookups]\n\"{ENTERPRISE}:department\" = [\n");
    for number in 0..100_000 {
        let _ = writeln!(policy, "\"Department {number}\",");
    }
    policy.push(']');
    let began = Instant::now();
    assert_refused(&policy, "has 100000 values; at most 10000 are allowed");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_mirrored_attribute_of_another_type() {
    for (from, to, told) in [
        ("title", "active", "title and active have different types"),
        ("title", "emails", "must be single values"),
        ("title", "title", "fills itself"),
        ("title", "hobby", "hobby names no attribute of a user"),
        ("title", "groups", "groups"),
        (
            "urn:acme:2.0:User:badge",
            "title",
            "is of a schema that is not registered",
        ),
    ] {
        assert_refused(&format!("[policy.mirror]\n\"{from}\" = \"{to}\""), told);
    }
    let chain = "[policy.mirror]\ntitle = \"nickName\"\nnickName = \"displayName\"";
    assert_refused(chain, "is filled and fills another");
    let twice = "[policy.mirror]\ntitle = \"nickName\"\nuserType = \"nickName\"";
    assert_refused(twice, "nickName is filled twice");
}

#[test]
fn a_lookup_of_what_is_no_single_text() {
    assert_refused(
        "lookups = { active = [\"yes\"] }",
        "active is no single text",
    );
    assert_refused("lookups = { emails = [\"a\"] }", "emails is no single text");
    assert_refused("lookups = { title = [] }", "title has no values");
}

#[test]
fn a_base_path_that_is_not_served() {
    let told = "is none of the server's base_paths, which are /scim/v2";
    assert_refused("base_path = \"/elsewhere\"", told);
    assert_refused("base_path = \"scim\"", told);
}

#[test]
fn a_path_that_says_too_little() {
    assert_refused(
        "required_attributes = [\"emails.value\"]",
        "does not say of which type",
    );
    assert_refused(
        "required_attributes = [\"title.short\"]",
        "title has no short",
    );
    assert_refused("required_attributes = [\"id\"]", "id");
}

#[test]
fn a_change_that_cannot_be_meant_leaves_the_policy_as_it_was() {
    let it = Integration::policy(super::server(), "credential_limit = 3");
    let _ = it.edit("credential_limit = 0").code(1);
    let shown = it
        .admin(&["connection", "show", "provisioning"])
        .code(0)
        .json();
    assert_eq!(shown["policy"]["credential_limit"], 3);
}
