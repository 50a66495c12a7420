//! Recorded requests and what they expect, one JSON object per file.
//!
//! The format is strict: a key or an assertion that this loader does not know
//! is an error, so that no expectation is passed over in silence.

use std::{collections::BTreeMap, fs, path::Path as FilePath};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::path::Path;

/// One recorded request with its expectations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in one line.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Relative to the base URL; the query is percent-encoded already.
    pub path: String,
    /// All headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The JSON body; null for none.
    #[serde(default)]
    pub body: Value,
    /// Replaces `body`, byte by byte.
    pub body_raw: Option<String>,
    /// The preferred status.
    pub expect_status: u16,
    /// Every status that will do.
    #[serde(default)]
    pub expect_status_any: Vec<u16>,
    /// Where the request comes from.
    pub source: String,
    /// How good that source is.
    #[serde(default)]
    pub evidence: String,
    /// Which state of the client's compatibility flag the shape belongs to.
    #[serde(default)]
    pub flag: String,
    /// Requests to send first.
    #[serde(default)]
    pub setup: Vec<Setup>,
    /// Literal text -> `resource.id`, replaced once the resource exists.
    #[serde(default)]
    pub bind: BTreeMap<String, String>,
    /// Of the answer.
    #[serde(default)]
    pub expect_body: Vec<Assertion>,
    /// Of what is read afterwards.
    #[serde(default)]
    pub expect_after: Vec<After>,
    /// For the reader.
    #[serde(default)]
    pub notes: String,
}

/// A request that prepares the case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Names the created resource: `{name.id}` afterwards.
    #[serde(rename = "as")]
    pub creates: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Relative to the base URL.
    pub path: String,
    /// The JSON body; null for none.
    #[serde(default)]
    pub body: Value,
    /// The status it must have; with neither this nor the next, any 2xx.
    pub expect_status: Option<u16>,
    /// Every status that will do.
    #[serde(default)]
    pub expect_status_any: Vec<u16>,
}

/// A follow-up GET with its expectation.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct After {
    /// What to read.
    pub get: String,
    /// The status it must have.
    pub status: Option<u16>,
    /// What it must say.
    pub assertion: Option<Assertion>,
}

/// One expectation of a JSON body.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Assertion {
    text: String,
    path: Path,
    checks: Vec<Check>,
}

#[derive(Debug, Clone)]
enum Check {
    Equals(Value),
    NotEquals(Value),
    Contains(Value),
    Count(usize),
    Min(f64),
    Max(f64),
    Present,
    Absent,
    AbsentOrEmpty,
}

impl TryFrom<Map<String, Value>> for After {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let get = match fields.remove("get") {
            Some(Value::String(get)) => get,
            other => return Err(format!("expect_after needs get, not {other:?}")),
        };
        let status = match fields.remove("status") {
            None => None,
            Some(status) => {
                let number = status.as_u64().and_then(|n| u16::try_from(n).ok());
                Some(number.ok_or("status is no status")?)
            }
        };
        let assertion = if fields.is_empty() {
            None
        } else {
            Some(Assertion::try_from(fields)?)
        };
        if status.is_none() && assertion.is_none() {
            return Err(format!("expect_after of {get} expects nothing"));
        }
        Ok(Self {
            get,
            status,
            assertion,
        })
    }
}

impl TryFrom<Map<String, Value>> for Assertion {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let text = match fields.remove("path") {
            Some(Value::String(path)) => path,
            other => return Err(format!("an assertion needs path, not {other:?}")),
        };
        let checks: Result<Vec<Check>, String> = fields.into_iter().map(check).collect();
        let checks = checks.map_err(|what| format!("assertion on {text}: {what}"))?;
        if checks.is_empty() {
            return Err(format!("assertion on {text} asserts nothing"));
        }
        Ok(Self {
            path: Path::parse(&text)?,
            text,
            checks,
        })
    }
}

fn check((key, value): (String, Value)) -> Result<Check, String> {
    let number = |value: &Value| value.as_f64().ok_or(format!("{key} needs a number"));
    Ok(match (key.as_str(), &value) {
        ("equals", _) => Check::Equals(value),
        ("not_equals", _) => Check::NotEquals(value),
        ("contains", _) => Check::Contains(value),
        ("count", _) => {
            let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
            Check::Count(count.ok_or("count needs a number")?)
        }
        ("min", _) => Check::Min(number(&value)?),
        ("max", _) => Check::Max(number(&value)?),
        ("present", Value::Bool(true)) | ("absent", Value::Bool(false)) => Check::Present,
        ("absent", Value::Bool(true)) | ("present", Value::Bool(false)) => Check::Absent,
        ("absent_or_empty", Value::Bool(true)) => Check::AbsentOrEmpty,
        _ => return Err(format!("unknown check {key}: {value}")),
    })
}

impl Assertion {
    /// Tries the body.
    ///
    /// # Errors
    /// The expectation and what was there instead. `fill` completes the
    /// placeholders of the expected values.
    pub fn check(&self, body: &Value, fill: &dyn Fn(&Value) -> Value) -> Result<(), String> {
        let selected = self.path.select(body);
        for check in &self.checks {
            if !check.holds(&selected, fill) {
                let actual: Vec<String> = selected.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{}: expected {check:?}, got [{}]",
                    self.text,
                    actual.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl Check {
    fn holds(&self, selected: &[&Value], fill: &dyn Fn(&Value) -> Value) -> bool {
        let number = || match selected {
            [one] => one.as_f64(),
            _ => None,
        };
        match self {
            // One value exactly: two that are equal would hide a duplicate.
            Self::Equals(expected) => matches!(selected, [one] if **one == fill(expected)),
            Self::NotEquals(expected) => {
                let expected = fill(expected);
                selected.iter().all(|v| **v != expected)
            }
            Self::Contains(expected) => {
                let expected = fill(expected);
                selected.iter().any(|v| contains(v, &expected))
            }
            Self::Count(expected) => count(selected) == *expected,
            Self::Min(bound) => number().is_some_and(|n| n >= *bound),
            Self::Max(bound) => number().is_some_and(|n| n <= *bound),
            Self::Present => selected.iter().any(|v| !v.is_null()),
            Self::Absent => selected.is_empty(),
            Self::AbsentOrEmpty => selected.iter().all(|v| is_empty(v)),
        }
    }
}

fn contains(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Array(list), _) => list.contains(expected),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => value == expected,
    }
}

fn count(selected: &[&Value]) -> usize {
    match selected {
        [Value::Array(list)] => list.len(),
        [Value::Null] => 0,
        _ => selected.len(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Every case of a folder by file stem, in the order of the names.
///
/// # Errors
/// No such folder, no case in it, or a file that is no case.
pub fn load(folder: &FilePath) -> Result<Vec<(String, Case)>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).map_err(|e| format!("{stem}: {e}"))?;
        let case = serde_json::from_str(&text).map_err(|e| format!("{stem}: {e}"))?;
        cases.push((stem.into_owned(), case));
    }
    if cases.is_empty() {
        return Err(format!("{}: no cases", folder.display()));
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(assertion: Value, body: Value) -> bool {
        let assertion: Assertion = serde_json::from_value(assertion).expect("an assertion");
        assertion.check(&body, &Value::clone).is_ok()
    }

    #[test]
    fn every_check_can_hold_and_can_fail() {
        let body = json!({"a": 5, "l": ["x", "y"], "s": "text", "e": [], "n": null});
        let cases = [
            (json!({"path": "a", "equals": 5}), true),
            (json!({"path": "a", "equals": "5"}), false),
            (json!({"path": "n", "equals": null}), true),
            (json!({"path": "z", "equals": null}), false),
            (json!({"path": "a", "not_equals": 6}), true),
            (json!({"path": "a", "not_equals": 5}), false),
            (json!({"path": "z", "not_equals": 5}), true),
            (json!({"path": "l", "contains": "x"}), true),
            (json!({"path": "l", "contains": "z"}), false),
            (json!({"path": "s", "contains": "ex"}), true),
            (json!({"path": "l", "count": 2}), true),
            (json!({"path": "z", "count": 0}), true),
            (json!({"path": "e", "count": 0}), true),
            (json!({"path": "e", "count": 1}), false),
            (json!({"path": "a", "min": 5, "max": 5}), true),
            (json!({"path": "a", "min": 6}), false),
            (json!({"path": "s", "max": 6}), false),
            (json!({"path": "a", "present": true}), true),
            (json!({"path": "n", "present": true}), false),
            (json!({"path": "z", "absent": true}), true),
            (json!({"path": "n", "absent": true}), false),
            (json!({"path": "e", "absent_or_empty": true}), true),
            (json!({"path": "z", "absent_or_empty": true}), true),
            (json!({"path": "s", "absent_or_empty": true}), false),
        ];
        for (assertion, expected) in cases {
            assert_eq!(
                holds(assertion.clone(), body.clone()),
                expected,
                "{assertion}"
            );
        }
    }

    #[test]
    fn equals_wants_one_value() {
        let body = json!({"emails": [{"v": 1}, {"v": 1}]});
        assert!(!holds(json!({"path": "emails.v", "equals": 1}), body));
    }

    #[test]
    fn what_the_loader_does_not_know_is_refused() {
        for assertion in [
            json!({"path": "a"}),
            json!({"equals": 1}),
            json!({"path": "a", "matches": "x"}),
            json!({"path": "a", "present": "yes"}),
        ] {
            assert!(serde_json::from_value::<Assertion>(assertion).is_err());
        }
        assert!(serde_json::from_value::<After>(json!({"get": "/Users"})).is_err());
        let case = json!({"name": "n", "method": "GET", "path": "/", "expect_status": 200,
            "source": "s", "expect_header": []});
        assert!(serde_json::from_value::<Case>(case).is_err());
    }
}
