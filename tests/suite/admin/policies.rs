//! Commands about what a connection does: what they print, and in which words they say
//! what is wrong and how to go on.

use std::fs;

use muster_tests::{
    cli::Outcome,
    entra::Person,
    integration::{Integration, refused},
    tenant::text,
};
use serde_json::{Value, json};
use uuid::Uuid;

const PRESETS: [&str; 7] = [
    "entra-default",
    "okta",
    "wintro",
    "weftid",
    "generic",
    "configcat",
    "ultimo",
];

/// One user may go within an hour, the next one waits.
const GUARDED: &str = "[policy.deprovision_guard]\nmax_users = 1\nwindow = \"1h\"";

/// Asserts that the command failed, and said this.
#[track_caller]
fn assert_told(outcome: Outcome, told: &str) {
    let said = outcome.code(1).stderr();
    assert!(said.contains(told), "{told:?} is not in {said}");
}

/// A file with this text, in the folder of the server.
fn file(text: &str) -> String {
    let name = format!("exported-{}.toml", Uuid::new_v4().simple());
    let path = super::super::server().folder().join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("a plain path").to_owned()
}

fn shown(it: &Integration) -> Value {
    let shown = it.admin(&["connection", "show", "provisioning"]);
    shown.code(0).json()
}

/// The policy as the command without `--json` prints it.
fn exported(it: &Integration) -> String {
    let admin = super::super::server().admin();
    let export = ["connection", "policy", "provisioning"];
    let own = ["--tenant", it.tenant.as_str()];
    admin.run(&[&export[..], &own].concat()).code(0).stdout()
}

#[test]
fn a_policy_is_exported_as_it_is_set() {
    for preset in PRESETS {
        let it = Integration::preset(super::super::server(), preset);
        let text = exported(&it);
        let file = file(&text);
        let update = ["connection", "update", "provisioning", "--policy", &file];
        let again = it.admin(&update).code(0).json();
        assert_eq!(again, shown(&it), "{preset}");
        assert_eq!(
            (&again["version"], &again["policy"]),
            (&json!(1), &it.connection["policy"]),
            "{preset}: nothing has changed"
        );
        // Another connection of the tenant, which has its schemas, becomes the same.
        let create = ["connection", "create", "copy", "--policy", &file];
        let copy = it.admin(&create).code(0).json();
        assert_eq!(copy["policy"], it.connection["policy"], "{preset}");
    }
}

#[test]
fn an_exported_policy_has_names_and_what_differs() {
    let it = Integration::policy(super::super::server(), "");
    assert_eq!(
        exported(&it),
        "description = \"The policy of connection provisioning\"\nflavor = \"entra\"\n\n[policy]\n"
    );
    let scim = it.scim();
    scim.user("boss@contoso.test");
    scim.group("Every \"one\"", &[]);
    let policy = "default_groups = ['Every \"one\"']\nprotected_users = [\"BOSS@contoso.test\"]\n\
                  credential_lifetime = \"1y\"\nmembers_by_external_id = false\n\
                  group_roles = [{ group = \"A\", role = \"x\" }, { group = \"B\", role = \"y\" }]\n\
                  lookups = { title = [\"Engineer\"] }\n";
    let _ = it.edit(&format!("{policy}{GUARDED}")).code(0);
    let export = it.admin(&["connection", "policy", "--connection", "provisioning"]);
    let export = export.code(0).json();
    assert_eq!(
        export["policy"],
        json!({
            "default_groups": ["Every \"one\""],
            "protected_users": ["boss@contoso.test"],
            "credential_lifetime": "365d",
            "members_by_external_id": false,
            "group_roles": [{"group": "A", "role": "x"}, {"group": "B", "role": "y"}],
            "lookups": {"title": ["Engineer"]},
            "deprovision_guard": {"max_users": 1, "window": "1h"},
        })
    );
    let before = shown(&it);
    let file = file(&exported(&it));
    let update = ["connection", "update", "provisioning", "--policy", &file];
    assert_eq!(it.admin(&update).code(0).json(), before);
}

#[test]
fn a_preset_is_shown_as_json_too() {
    let admin = super::super::server().admin();
    let preset = admin.json(&["preset", "show", "wintro"]);
    assert_eq!(preset["policy"]["groups_enabled"], false);
    assert!(!text(&preset, "description").is_empty());
}

#[test]
fn a_taken_name_says_how_to_go_on() {
    let it = Integration::policy(super::super::server(), "");
    let again = it.admin(&["connection", "create", "Provisioning"]);
    let shown = it.admin(&["tenant", "show"]).code(0).json();
    let told = format!(
        "the tenant has a connection \"Provisioning\" already; \"muster connection update \
         --tenant {} --name Provisioning\" changes it",
        text(&shown, "name")
    );
    assert_told(again, &told);
}

#[test]
fn what_is_missing_is_said_with_its_tenant() {
    let it = Integration::policy(super::super::server(), "");
    let place = format!("does not exist in tenant {:?}", it.tenant);
    for (arguments, noun) in [
        (
            &["credential", "rotate", "--id", "x"][..],
            "credential \"x\"",
        ),
        (&["credential", "revoke", "--id", "x"], "credential \"x\""),
        (&["connection", "show", "x"], "connection \"x\""),
        (&["connection", "health", "x"], "connection \"x\""),
        (&["user", "unlock", "--id", "x"], "user \"x\""),
        (&["schema", "show", "--urn", "x"], "schema \"x\""),
    ] {
        assert_told(it.admin(arguments), &format!("error: {noun} {place}"));
    }
}

#[test]
fn a_connection_that_is_full_says_how_to_go_on() {
    let it = Integration::policy(super::super::server(), "credential_limit = 1");
    let create = it.admin(&["credential", "create", "--connection", "provisioning"]);
    assert_told(
        create,
        "allows (1). \"muster credential rotate --id ID\" gives",
    );
}

#[test]
fn a_lifetime_that_goes_with_a_policy_is_told() {
    let it = Integration::policy(super::super::server(), "");
    let update = ["connection", "update", "provisioning"];
    let set = [&update[..], &["--credential-lifetime", "1y"]].concat();
    let set = it.admin(&set).code(0);
    assert_eq!(set.json()["credential_lifetime_seconds"], 365 * 86_400);
    assert_eq!(set.stderr(), "");
    let replaced = it.edit("").code(0);
    let told = replaced.stderr();
    assert!(
        told.contains("lived 365d, and live for good")
            && told.contains("--credential-lifetime 365d"),
        "{told}"
    );
    assert_eq!(replaced.json()["credential_lifetime_seconds"], Value::Null);
    let preset = [
        &update[..],
        &["--preset", "generic", "--credential-lifetime", "30d"],
    ]
    .concat();
    assert_eq!(it.admin(&preset).code(0).stderr(), "");
    let flavor = [&update[..], &["--flavor", "okta"]].concat();
    assert_eq!(it.admin(&flavor).code(0).stderr(), "");
}

#[test]
fn every_fault_has_a_line() {
    let guard = "max_percent = 200\nwindow = \"32d\"\nmax_hold = \"73h\"";
    let policy = format!(
        "base_path = \"/elsewhere\"\non_match = \"merge\"\n[policy.deprovision_guard]\n{guard}"
    );
    let told = refused(super::super::server(), &policy).code(1).stderr();
    let (head, faults) = told.split_once('\n').expect("several lines");
    assert_eq!(head, "error: the policy cannot be meant:");
    let faults: Vec<_> = faults.lines().collect();
    assert!(faults.iter().all(|fault| fault.starts_with("  ")), "{told}");
    for part in [
        "base_path \"/elsewhere\" is none of the server's base_paths",
        "on_match needs a match_order",
        "max_percent must be less than 100",
        "max_hold must be at most 72h",
        "window must be at most 31d",
    ] {
        let count = faults.iter().filter(|fault| fault.contains(part)).count();
        assert_eq!(count, 1, "{part:?} in {told}");
    }
    assert_eq!(faults.len(), 5, "{told}");
}

#[test]
fn what_a_file_lacks_or_has_elsewhere_is_said() {
    let it = Integration::policy(super::super::server(), "");
    let set = |text: &str| {
        let file = file(text);
        it.admin(&["connection", "update", "provisioning", "--policy", &file])
    };
    assert_told(set("[policy]\n"), "error: description is missing");
    let appended = format!("description = \"x\"\n{GUARDED}\non_delete = \"soft\"\n");
    assert_told(
        set(&appended),
        "on_delete is a key of [policy]: keys of [policy] stand before its tables",
    );
}

#[test]
fn whoever_waits_is_listed_by_name() {
    let it = Integration::policy(super::super::server(), GUARDED);
    let (scim, admin) = (it.scim(), super::super::server().admin());
    let list = ["held", "list", "--tenant", it.tenant.as_str()];
    let nothing = admin.run(&list).code(0);
    assert_eq!(
        (nothing.stdout(), nothing.stderr()),
        (String::new(), "nothing\n".to_owned())
    );
    assert_eq!(admin.json(&list), json!([]));
    let people = [("Ada", "Lovelace"), ("Alan", "Turing"), ("Kurt", "Goedel")];
    let people = people.map(|(given, family)| Person::new(given, family));
    let ids: Vec<_> = people
        .iter()
        .map(|person| {
            let id = scim.post("/Users", &person.mapped()).status(201).id();
            let off = json!([{"op": "Replace", "path": "active", "value": "False"}]);
            let _ = scim.patch(&format!("/Users/{id}"), &off).status(200);
            id
        })
        .collect();
    let waiting = admin.json(&list);
    assert_eq!(waiting.as_array().map(Vec::len), Some(2));
    let mapped = people[1].mapped();
    for (field, known) in [
        ("user_id", &json!(ids[1])),
        ("user_name", &mapped["userName"]),
        ("display_name", &mapped["displayName"]),
        ("external_id", &mapped["externalId"]),
        ("connection", &json!("provisioning")),
        ("operation", &json!("deactivate")),
    ] {
        assert_eq!(&waiting[0][field], known, "{field}");
    }
    let lines = admin.run(&list).code(0).stdout();
    let first = format!(
        "user_name={}  user_id={}  ",
        text(&mapped, "userName"),
        ids[1]
    );
    assert!(lines.starts_with(&first), "{lines}");
    let resolve = |how: &str, id: &str| it.admin(&["held", how, "--id", id]);
    assert_eq!(
        resolve("drop", &ids[1]).code(0).json(),
        json!({"dropped": 1})
    );
    assert_eq!(
        resolve("release", &ids[2]).code(0).json(),
        json!({"released": 1})
    );
    let told = format!("nothing waits for user {:?} in tenant", ids[0]);
    for how in ["drop", "release"] {
        assert_told(resolve(how, &ids[0]), &told);
    }
}

#[test]
fn credentials_are_listed_of_one_connection_or_of_all() {
    let it = Integration::policy(super::super::server(), "");
    let _ = it.onlooker();
    let count = |more: &[&str]| {
        let list = it.admin(&[&["credential", "list"][..], more].concat());
        list.code(0).json().as_array().map(Vec::len)
    };
    assert_eq!(count(&[]), Some(2));
    assert_eq!(count(&["--connection", "provisioning"]), Some(1));
    let list = ["credential", "list", "--tenant", it.tenant.as_str()];
    let lines = super::super::server().admin().run(&list).code(0).stdout();
    assert!(lines.starts_with("name=credential  id="), "{lines}");
}
