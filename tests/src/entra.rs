//! What Microsoft Entra's provisioning service sends, in its own forms: those of
//! today's default, and those of the flag `aadOptscim062020`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::scim::{ENTERPRISE, GROUP, LIST, Reply, Scim, USER};

/// Somebody in Entra.
#[derive(Debug, Clone)]
pub struct Person {
    /// His objectId.
    pub object_id: String,
    /// His userPrincipalName.
    pub upn: String,
    /// His mail.
    pub mail: String,
    /// His given name.
    pub given: String,
    /// His surname.
    pub family: String,
}

impl Person {
    /// A new colleague.
    pub fn new(given: &str, family: &str) -> Self {
        let name = format!("{given}.{family}").to_lowercase();
        Self {
            object_id: Uuid::new_v4().to_string(),
            upn: format!("{name}@contoso.test"),
            mail: format!("{name}@mail.contoso.test"),
            given: given.to_owned(),
            family: family.to_owned(),
        }
    }

    /// His displayName.
    pub fn display(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    /// His userPrincipalName once he is soft-deleted: behind his objectId in hex.
    pub fn tombstone(&self) -> String {
        format!("{}{}", self.object_id.replace('-', ""), self.upn)
    }

    /// What is sent to create him under Entra's default mappings, as far as they
    /// have a source.
    pub fn mapped(&self) -> Value {
        json!({
            "schemas": [USER, ENTERPRISE],
            "externalId": self.object_id,
            "userName": self.upn,
            "active": true,
            "displayName": self.display(),
            "emails": [{"primary": true, "type": "work", "value": self.mail}],
            "meta": {"resourceType": "User"},
            "name": {
                "formatted": self.display(),
                "familyName": self.family,
                "givenName": self.given,
            },
        })
    }

    /// The same with more, or with null for what is not mapped.
    pub fn mapped_with(&self, more: &Value) -> Value {
        let mut body = self.mapped();
        let all = body.as_object_mut().expect("an object");
        for (name, value) in more.as_object().expect("an object") {
            all.insert(name.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        body
    }
}

/// Entra's side of a connection.
#[derive(Debug, Clone)]
pub struct Entra {
    scim: Scim,
    matching: &'static str,
}

impl Entra {
    /// A client that looks users up by this attribute.
    pub fn new(scim: Scim, matching: &'static str) -> Self {
        Self { scim, matching }
    }

    /// The SCIM client below.
    pub fn scim(&self) -> &Scim {
        &self.scim
    }

    /// Test Connection, and what is read when the configuration is saved.
    #[track_caller]
    pub fn test_connection(&self) {
        let nobody = Uuid::new_v4().to_string();
        let users = self.look_up(&nobody);
        let groups = format!("displayName eq \"{nobody}\"");
        let groups = self.scim.find("/Groups", &groups);
        for found in [users, groups] {
            let found = found.status(200);
            assert_eq!(found.total(), 0, "{found}");
            assert_eq!(found.json()["schemas"], json!([LIST]), "{found}");
        }
        let schemas = self.scim.get("/Schemas").status(200).json();
        let schemas = schemas["Resources"].as_array().expect("a list");
        assert!(schemas.iter().any(|schema| schema["id"] == USER));
        let config = self.scim.get("/ServiceProviderConfig").status(200);
        assert_eq!(config.json()["patch"]["supported"], true, "{config}");
    }

    /// Looks for a user by the matching attribute.
    #[track_caller]
    pub fn look_up(&self, value: &str) -> Reply {
        let filter = format!("{} eq \"{value}\"", self.matching);
        self.scim.find("/Users", &filter)
    }

    /// The first time that a user is in scope: he is looked for in vain, created and
    /// read again; his id.
    #[track_caller]
    pub fn provision(&self, value: &str, body: &Value) -> String {
        let missed = self.look_up(value).status(200);
        assert_eq!(missed.total(), 0, "{missed}");
        let id = self.scim.post("/Users", body).status(201).id();
        assert_eq!(self.read(&id)["id"], id);
        let found = self.look_up(value).status(200);
        assert_eq!(found.total(), 1, "{found}");
        assert_eq!(found.json()["Resources"][0]["id"], id);
        id
    }

    /// The user as he is.
    #[track_caller]
    pub fn read(&self, id: &str) -> Value {
        self.scim.get(&format!("/Users/{id}")).status(200).json()
    }

    /// A change of one attribute, as it is sent by default.
    #[track_caller]
    pub fn set(&self, id: &str, path: &str, value: &Value) -> Reply {
        self.patch(
            id,
            &json!([{"op": "Replace", "path": path, "value": value}]),
        )
    }

    /// A new value of one attribute, as it is sent by default.
    #[track_caller]
    pub fn add(&self, id: &str, path: &str, value: &Value) -> Reply {
        self.patch(id, &json!([{"op": "Add", "path": path, "value": value}]))
    }

    /// Changes of several attributes, as they are sent with the flag: one operation
    /// without a path, whose keys are paths.
    #[track_caller]
    pub fn set_all(&self, id: &str, values: &Value) -> Reply {
        self.patch(id, &json!([{"op": "replace", "value": values}]))
    }

    /// Any PATCH of a user.
    #[track_caller]
    pub fn patch(&self, id: &str, operations: &Value) -> Reply {
        self.scim.patch(&format!("/Users/{id}"), operations)
    }

    /// `active` as the expressions of the guides make it: text.
    #[track_caller]
    pub fn set_active(&self, id: &str, active: bool) -> Value {
        let text = if active { "True" } else { "False" };
        let changed = self.set(id, "active", &json!(text)).status(200).json();
        assert_eq!(changed["active"], active, "{changed}");
        assert_eq!(self.read(id)["active"], active);
        changed
    }

    /// The same with the flag: a boolean.
    #[track_caller]
    pub fn set_active_flagged(&self, id: &str, active: bool) {
        let operations = json!([{"op": "replace", "path": "active", "value": active}]);
        let changed = self.patch(id, &operations).status(200).json();
        assert_eq!(changed["active"], active, "{changed}");
        assert_eq!(self.read(id)["active"], active);
    }

    /// A soft deletion in Entra: not active, and renamed in the same request.
    #[track_caller]
    pub fn bury(&self, id: &str, person: &Person) -> Value {
        self.rename(id, "False", &person.tombstone())
    }

    /// He is restored there: active, and with the name that he had.
    #[track_caller]
    pub fn revive(&self, id: &str, person: &Person) -> Value {
        self.rename(id, "True", &person.upn)
    }

    #[track_caller]
    fn rename(&self, id: &str, active: &str, name: &str) -> Value {
        let operations = json!([
            {"op": "Replace", "path": "userName", "value": name},
            {"op": "Replace", "path": "active", "value": active},
        ]);
        self.patch(id, &operations).status(200).json()
    }

    /// A hard deletion: the second one finds nobody.
    #[track_caller]
    pub fn remove(&self, id: &str) {
        let path = format!("/Users/{id}");
        let _ = self.scim.delete(&path).status(204);
        let _ = self.scim.get(&path).scim_error(404, None);
        let _ = self.scim.delete(&path).scim_error(404, None);
    }

    /// The first time that a group is in scope: it is looked for in vain and created
    /// without members; its id.
    #[track_caller]
    pub fn provision_group(&self, name: &str) -> String {
        let filter = format!("displayName eq \"{name}\"");
        let missed = self.find_group(&filter);
        assert_eq!(missed.total(), 0, "{missed}");
        let body = json!({
            "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": Uuid::new_v4().to_string(),
            "displayName": name,
            "meta": {"resourceType": "Group"},
        });
        let id = self.scim.post("/Groups", &body).status(201).id();
        let found = self.find_group(&filter).json();
        assert_eq!(found["Resources"][0]["id"], id);
        assert!(found["Resources"][0].get("members").is_none(), "{found}");
        id
    }

    #[track_caller]
    fn find_group(&self, filter: &str) -> Reply {
        let query = [("excludedAttributes", "members"), ("filter", filter)];
        let path = format!("/Groups?{}", crate::scim::query(&query));
        self.scim.get(&path).status(200)
    }

    /// A member joins, as it is sent by default.
    #[track_caller]
    pub fn join(&self, group: &str, member: &str) {
        let value = json!([{"$ref": null, "value": member}]);
        let operations = json!([{"op": "Add", "path": "members", "value": value}]);
        let path = format!("/Groups/{group}");
        let _ = self.scim.patch(&path, &operations).status_in(&[200, 204]);
    }

    /// A member leaves, as it is sent by default.
    #[track_caller]
    pub fn leave(&self, group: &str, member: &str) {
        let value = json!([{"value": member}]);
        let operations = json!([{"op": "Remove", "path": "members", "value": value}]);
        let path = format!("/Groups/{group}");
        let _ = self.scim.patch(&path, &operations).status_in(&[200, 204]);
    }

    /// A member leaves, as it is sent with the flag.
    #[track_caller]
    pub fn leave_flagged(&self, group: &str, member: &str) {
        let path = format!("members[value eq \"{member}\"]");
        let operations = json!([{"op": "remove", "path": path}]);
        let path = format!("/Groups/{group}");
        let _ = self.scim.patch(&path, &operations).status_in(&[200, 204]);
    }

    /// Asserts that users alone are provisioned: groups are listed as none, and
    /// whatever else is asked of them is refused.
    #[track_caller]
    pub fn groups_are_refused(&self) {
        let scim = &self.scim;
        let listed = scim.get("/Groups").status(200);
        assert_eq!(listed.total(), 0, "{listed}");
        let body = json!({"schemas": [GROUP], "displayName": "Engineers"});
        let _ = scim.post("/Groups", &body).scim_error(501, None);
        let path = format!("/Groups/{}", Uuid::new_v4());
        let _ = scim.get(&path).scim_error(404, None);
        let operations = json!([{"op": "Replace", "path": "displayName", "value": "E"}]);
        let _ = scim.patch(&path, &operations).scim_error(501, None);
        let _ = scim.put(&path, &body).scim_error(501, None);
        let _ = scim.delete(&path).scim_error(501, None);
        assert_eq!(scim.get("/Groups").total(), 0);
    }
}
