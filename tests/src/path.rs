//! Paths into an answer, as recorded cases write them.
//!
//! `emails[type eq "work"].value`, `Resources.0.userName`,
//! `["urn:...:User"].department`: names and indexes separated by dots, names
//! with dots in `["..."]`, and `[name eq literal]`, which keeps the elements
//! of a list that have this value. A name on a list reaches into every
//! element, so that a path selects any number of values.

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Where(String, Value),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("path {text:?}: {what}");
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let end = closing(inside).ok_or_else(|| wrong("no closing bracket"))?;
                let (bracket, after) = inside.split_at(end);
                steps.push(bracket_step(bracket).ok_or_else(|| wrong("bad bracket"))?);
                rest = &after[1..];
                if let Some(more) = rest.strip_prefix('.') {
                    rest = more;
                    if rest.is_empty() {
                        return Err(wrong("ends in a dot"));
                    }
                }
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return Err(wrong("an empty name"));
            }
            steps.push(match name.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Name(name.to_owned()),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
            if after == "." {
                return Err(wrong("ends in a dot"));
            }
        }
        if steps.is_empty() {
            return Err(wrong("empty"));
        }
        Ok(Self(steps))
    }

    /// The values it selects; null counts as a value.
    pub fn select<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut selected = vec![root];
        for step in &self.0 {
            selected = selected.into_iter().flat_map(|v| step.from(v)).collect();
        }
        selected
    }
}

impl Step {
    fn from<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Index(index), Value::Array(list)) => list.get(*index).into_iter().collect(),
            (Self::Name(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Self::Index(index), Value::Object(fields)) => {
                fields.get(&index.to_string()).into_iter().collect()
            }
            (Self::Name(_), Value::Array(list)) => list.iter().flat_map(|v| self.from(v)).collect(),
            (Self::Where(name, literal), Value::Array(list)) => {
                list.iter().filter(|v| v[name] == *literal).collect()
            }
            (Self::Where(name, literal), Value::Object(_)) if value[name] == *literal => {
                vec![value]
            }
            _ => Vec::new(),
        }
    }
}

/// Where the bracket ends, passing over quoted text.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn bracket_step(text: &str) -> Option<Step> {
    if text.starts_with('"') {
        return serde_json::from_str(text).ok().map(Step::Name);
    }
    let (name, literal) = text.split_once(" eq ")?;
    let name = name.trim();
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '$');
    let literal = serde_json::from_str(literal.trim()).ok()?;
    plain.then(|| Step::Where(name.to_owned(), literal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user() -> Value {
        json!({
            "userName": "ada",
            "name": {"familyName": "Lovelace"},
            "emails": [
                {"type": "work", "value": "a@w", "primary": true},
                {"type": "home", "value": "a@h"},
                {"type": "home", "value": "b@h"},
            ],
            "urn:x:2.0:User": {"department": "D.1", "manager": {"value": "7"}},
            "nothing": null,
            "roles": [],
        })
    }

    #[track_caller]
    fn check(path: &str, expected: &[Value]) {
        let (path, user) = (Path::parse(path).expect("a path"), user());
        let selected: Vec<Value> = path.select(&user).into_iter().cloned().collect();
        assert_eq!(selected, expected);
    }

    #[test]
    fn names_reach_through_objects() {
        check("userName", &[json!("ada")]);
        check("name.familyName", &[json!("Lovelace")]);
        check("name.givenName", &[]);
        check("userName.familyName", &[]);
    }

    #[test]
    fn indexes_reach_into_lists() {
        check("emails.1.value", &[json!("a@h")]);
        check("emails.3", &[]);
        check("roles.0", &[]);
    }

    #[test]
    fn brackets_keep_the_elements_that_match() {
        check("emails[type eq \"work\"].value", &[json!("a@w")]);
        check(
            "emails[type eq \"home\"].value",
            &[json!("a@h"), json!("b@h")],
        );
        check("emails[primary eq true].value", &[json!("a@w")]);
        check("emails[type eq \"fax\"].value", &[]);
    }

    #[test]
    fn quoted_brackets_are_names_with_dots() {
        check("[\"urn:x:2.0:User\"].department", &[json!("D.1")]);
        check("[\"urn:x:2.0:User\"].manager.value", &[json!("7")]);
    }

    #[test]
    fn brackets_follow_brackets() {
        let schemas =
            json!({"Resources": [{"id": "urn:a]", "attributes": [{"name": "x", "n": 1}]}]});
        let path = "Resources[id eq \"urn:a]\"].attributes[name eq \"x\"].n";
        let path = Path::parse(path).expect("a path");
        assert_eq!(path.select(&schemas), [&json!(1)]);
    }

    #[test]
    fn null_and_empty_lists_are_selected() {
        check("nothing", &[json!(null)]);
        check("roles", &[json!([])]);
    }

    #[test]
    fn a_name_on_a_list_reaches_every_element() {
        check("emails.value", &[json!("a@w"), json!("a@h"), json!("b@h")]);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            ".",
            "a.",
            "a..b",
            "a[",
            "a[b]",
            "a[b eq ]",
            "a[b co \"c\"]",
            "[\"a\"].",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad:?}");
        }
    }
}
