//! Sends recorded cases to a server and compares the answers.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;
use uuid::Uuid;

use crate::{
    fixture::{self, After, Case},
    scim::{Draft, Reply, Scim},
    server::Server,
    tenant::Tenant,
};

/// Cases that are not replayed, by file stem, each with its reason.
pub const EXCLUDED: &[(&str, &str)] = &[];

/// How many cases are under way at once.
const WORKERS: usize = 4;

/// What `{{name}}` in a case stands for, beside `token`, `guid` and `run`:
/// `token_endpoint`, `client_id`, `client_secret`, `basic`, `entra_jwt` where
/// the server offers them.
pub type Placeholders = BTreeMap<String, String>;

/// What became of a folder of cases.
#[derive(Debug, Default)]
pub struct Summary {
    /// Cases replayed, failures included.
    pub replayed: usize,
    /// `name: what was expected and what came`.
    pub failures: Vec<String>,
    /// Stem and reason.
    pub excluded: Vec<(String, &'static str)>,
}

/// Replays all cases of a folder, each in a fresh tenant of the server;
/// `offered` fills further placeholders for that tenant and case.
///
/// # Errors
/// The folder is missing or empty, or a file in it is no case.
pub fn folder(
    server: &Server,
    folder: &Path,
    offered: &(dyn Fn(&Tenant, &Case) -> Placeholders + Sync),
) -> Result<Summary, String> {
    let (mut excluded, mut cases) = (Vec::new(), Vec::new());
    for (stem, case) in fixture::load(folder)? {
        match EXCLUDED.iter().find(|(name, _)| *name == stem) {
            Some((_, reason)) => excluded.push((stem, *reason)),
            None => cases.push((stem, case)),
        }
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((stem, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tenant = Tenant::create(server);
                    if let Err(what) = one(&tenant, case, offered(&tenant, case)) {
                        let mut failures = failures.lock().expect("no worker panics");
                        failures.push(format!("{stem} ({}): {what}", case.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no worker panics");
    failures.sort();
    Ok(Summary {
        replayed: cases.len(),
        failures,
        excluded,
    })
}

/// Replays one case in this tenant.
///
/// # Errors
/// The first expectation that fails, with the answer.
pub fn one(tenant: &Tenant, case: &Case, offered: Placeholders) -> Result<(), String> {
    let mut run = Run {
        scim: tenant.scim(),
        words: Words::new(tenant, offered),
    };
    run.prepare(case)?;
    let reply = run.send(case)?;
    status(&reply, Some(case.expect_status), &case.expect_status_any)?;
    if !case.expect_body.is_empty() {
        let body = body(&reply)?;
        for assertion in &case.expect_body {
            let fill = |value: &Value| run.words.value(value);
            assertion
                .check(&body, &fill)
                .map_err(|what| format!("{what}\n    {reply}"))?;
        }
    }
    run.check_after(&case.expect_after)
}

struct Run {
    scim: Scim,
    words: Words,
}

impl Run {
    fn prepare(&mut self, case: &Case) -> Result<(), String> {
        for (at, setup) in case.setup.iter().enumerate() {
            let path = self.words.text(&setup.path);
            let mut draft = self.scim.request(&setup.method, &path);
            if !setup.body.is_null() {
                draft = draft.json(&self.words.value(&setup.body));
            }
            let reply = draft.send();
            let what = |e| format!("setup step {}: {e}", at + 1);
            status(&reply, setup.expect_status, &setup.expect_status_any).map_err(what)?;
            if let Some(name) = &setup.creates {
                let created = body(&reply).map_err(what)?;
                let id = created["id"].as_str();
                let id = id.ok_or_else(|| format!("setup step {}: no id: {reply}", at + 1))?;
                self.words.created(name, id, &case.bind);
            }
        }
        for (literal, resource) in &case.bind {
            if !self.words.literals.contains_key(literal) {
                return Err(format!("bind of {literal}: no setup step makes {resource}"));
            }
        }
        Ok(())
    }

    fn send(&self, case: &Case) -> Result<Reply, String> {
        let path = self.words.text(&case.path);
        let mut draft: Draft = self.scim.bare(&case.method, &path);
        for (name, value) in &case.headers {
            draft = draft.header(name, &self.words.text(value));
        }
        let body = match (&case.body_raw, &case.body) {
            (Some(raw), _) => self.words.text(raw),
            (None, Value::Null) => String::new(),
            (None, body) => self.words.value(body).to_string(),
        };
        let sent = [path.as_str(), &body];
        if let Some(open) = sent.iter().find(|text| text.contains("{{")) {
            return Err(format!("a placeholder without a value: {open}"));
        }
        Ok(draft.body(body).send())
    }

    fn check_after(&self, expectations: &[After]) -> Result<(), String> {
        let mut replies: BTreeMap<String, Reply> = BTreeMap::new();
        for after in expectations {
            let path = self.words.text(&after.get);
            let reply = replies
                .entry(path.clone())
                .or_insert_with(|| self.scim.get(&path));
            let expected = after.status.or(Some(200));
            status(reply, expected, &[]).map_err(|e| format!("afterwards: {e}"))?;
            if let Some(assertion) = &after.assertion {
                let fill = |value: &Value| self.words.value(value);
                assertion
                    .check(&body(reply)?, &fill)
                    .map_err(|what| format!("afterwards: {what}\n    {reply}"))?;
            }
        }
        Ok(())
    }
}

/// Texts that are replaced in a case.
struct Words {
    literals: BTreeMap<String, String>,
}

impl Words {
    fn new(tenant: &Tenant, offered: Placeholders) -> Self {
        let own = [
            ("token", tenant.token.clone()),
            ("guid", Uuid::new_v4().to_string()),
            ("run", Uuid::new_v4().simple().to_string()[..8].to_owned()),
        ];
        let literals = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(offered)
            .map(|(name, value)| (format!("{{{{{name}}}}}"), value))
            .collect();
        Self { literals }
    }

    fn created(&mut self, name: &str, id: &str, bind: &BTreeMap<String, String>) {
        let resource = format!("{name}.id");
        for (literal, bound) in bind {
            if *bound == resource {
                self.literals.insert(literal.clone(), id.to_owned());
            }
        }
        self.literals
            .insert(format!("{{{resource}}}"), id.to_owned());
    }

    fn text(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (literal, value) in &self.literals {
            filled = filled.replace(literal, value);
        }
        filled
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => list.iter().map(|v| self.value(v)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, v)| (name.clone(), self.value(v)))
                .collect(),
            other => other.clone(),
        }
    }
}

fn status(reply: &Reply, expected: Option<u16>, any: &[u16]) -> Result<(), String> {
    let code = reply.code();
    let fits = match expected {
        Some(expected) => code == expected || any.contains(&code),
        None if any.is_empty() => (200..300).contains(&code),
        None => any.contains(&code),
    };
    if fits {
        return Ok(());
    }
    let wanted = expected.into_iter().chain(any.iter().copied());
    let wanted: Vec<String> = wanted.map(|s| s.to_string()).collect();
    Err(format!("expected status {}: {reply}", wanted.join(" or ")))
}

fn body(reply: &Reply) -> Result<Value, String> {
    serde_json::from_slice(reply.bytes()).map_err(|e| format!("no JSON ({e}): {reply}"))
}
