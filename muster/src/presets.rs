//! Policies that come with muster, and files of the same form.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow, bail};
use muster_directory::{
    domain::{flavor::Flavor, policy::Policy},
    error::{Error, Violation},
};
use muster_proto::schema::{Definition, Extends, Registry};
use serde::Deserialize;
use serde_json::json;

use crate::{
    arguments::{self, Json, PolicySource},
    output,
    settings::Settings,
};

/// Name and file of every preset.
const PRESETS: [(&str, &str); 7] = [
    (
        "entra-default",
        include_str!("../presets/entra-default.toml"),
    ),
    ("okta", include_str!("../presets/okta.toml")),
    ("wintro", include_str!("../presets/wintro.toml")),
    ("weftid", include_str!("../presets/weftid.toml")),
    ("generic", include_str!("../presets/generic.toml")),
    ("configcat", include_str!("../presets/configcat.toml")),
    ("ultimo", include_str!("../presets/ultimo.toml")),
];

const BASE_PATH: &str = "base_path";

/// What a connection is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// What it is for, in a sentence. That it is missing is told with all else that is
    /// wrong.
    #[serde(default)]
    description: String,
    /// How far the client deviates from the RFCs.
    #[serde(default)]
    flavor: Named,
    /// What the connection does with what its client sends.
    #[serde(default)]
    policy: Policy,
    /// Extension schemas of users, registered where the tenant has none of their URN.
    #[serde(default)]
    schemas: Vec<Definition>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    #[default]
    Entra,
    Okta,
    Strict,
}

impl Preset {
    fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| {
            let hint = hint(error.message()).unwrap_or_default();
            anyhow!("{}{hint}", error.to_string().trim_end())
        })
    }

    /// What is wrong with it that the directory cannot know, and then with that also
    /// what the directory would say in a tenant that has these schemas.
    pub(crate) fn faults(
        &self,
        registered: Vec<(Extends, Definition)>,
        settings: &Settings,
    ) -> Vec<Violation> {
        let mut faults = Vec::new();
        if self.description.trim().is_empty() {
            let rule = "is missing: say at the beginning what the policy is for";
            faults.push(Violation::new("description", rule));
        }
        if let Some(base) = &self.policy.base_path
            && let Err(rule) = settings.check_served(base)
        {
            faults.push(Violation::new(BASE_PATH, rule));
        }
        if faults.is_empty() {
            return faults;
        }
        let registry = Registry::with(self.with_own(registered));
        if let Err(Error::Invalid(others)) = self.policy.clone().checked(registry.user) {
            let is_new = |fault: &Violation| fault.field != BASE_PATH;
            faults.extend(others.into_iter().filter(is_new));
        }
        faults
    }

    /// These schemas, and those that it brings and that would be registered.
    fn with_own(&self, registered: Vec<(Extends, Definition)>) -> Vec<(Extends, Definition)> {
        let is_missing = |id: &str| {
            registered
                .iter()
                .all(|(_, known)| !known.id.eq_ignore_ascii_case(id))
        };
        let own: Vec<_> = self
            .schemas()
            .filter(|(_, own)| is_missing(&own.id) && own.broken_rules().is_empty())
            .collect();
        registered.into_iter().chain(own).collect()
    }

    /// The schemas that it brings, and what they extend.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (Extends, Definition)> {
        let schemas = self.schemas.iter().cloned();
        schemas.map(|definition| (Extends::User, definition))
    }

    /// Flavor and policy.
    pub(crate) fn into_parts(self) -> (Flavor, Policy) {
        let flavor = match self.flavor {
            Named::Entra => Flavor::Entra,
            Named::Okta => Flavor::Okta,
            Named::Strict => Flavor::Strict,
        };
        (flavor, self.policy)
    }
}

/// Where a key belongs that was found where it is unknown.
fn hint(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (field, _) = rest.split_once('`')?;
    if ["description", "flavor"].contains(&field) {
        return Some(format!(
            "\n{field} stands at the beginning, before [policy]"
        ));
    }
    let keys = serde_json::to_value(Policy::default()).ok()?;
    let told = format!("\n{field} is a key of [policy]: keys of [policy] stand before its tables");
    keys.get(field).map(|_| told)
}

/// The preset or file that is named, if one is.
pub(crate) fn read(source: &PolicySource) -> anyhow::Result<Option<Preset>> {
    let preset = match (&source.preset, &source.policy) {
        (Some(name), _) => {
            Preset::parse(file(name)?).with_context(|| format!("the preset {name} is broken"))?
        }
        (None, Some(path)) => {
            let text = text(path).with_context(|| format!("cannot read {}", path.display()))?;
            Preset::parse(&text).with_context(|| format!("{} is no policy", path.display()))?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(preset))
}

fn file(name: &str) -> anyhow::Result<&'static str> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    if let Some((_, text)) = found {
        return Ok(text);
    }
    let names: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
    bail!(
        "there is no preset {name:?}; there are {}",
        names.join(", ")
    )
}

fn text(path: &Path) -> io::Result<String> {
    if path != Path::new("-") {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Runs one command.
pub(crate) fn run(command: &arguments::Preset) -> anyhow::Result<()> {
    match command {
        arguments::Preset::List { json } => {
            let mut shown = Vec::new();
            for (name, text) in PRESETS {
                let preset = Preset::parse(text)?;
                shown.push(json!({"name": name, "description": preset.description}));
            }
            output::many(&shown, &["name", "description"], *json)?;
        }
        arguments::Preset::Show { name, json } => show(file(name)?, *json)?,
    }
    Ok(())
}

fn show(text: &str, json: Json) -> anyhow::Result<()> {
    if json.json {
        let parsed: toml::Table = toml::from_str(text)?;
        output::one(&serde_json::to_value(parsed)?, json)?;
    } else {
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_meant() {
        for (name, text) in PRESETS {
            let preset = Preset::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!preset.description.is_empty(), "{name}");
            let schemas: Vec<_> = preset.schemas().collect();
            for (_, definition) in &schemas {
                assert!(definition.broken_rules().is_empty(), "{name}");
            }
            let registry = Registry::with(schemas);
            let (_, policy) = preset.into_parts();
            if let Err(error) = policy.checked(registry.user) {
                panic!("{name}: {error}");
            }
        }
    }

    #[test]
    fn what_is_no_preset_says_where() {
        for (text, told) in [
            (
                "description = \"x\"\n[policy]\ngroups = true",
                "unknown field `groups`",
            ),
            (
                "description = \"x\"\n[policy]\non_match = \"steal\"",
                "unknown variant `steal`",
            ),
            (
                "description = \"x\"\n[policy]\nrequired_attributes = [\"emails[primary eq true]\"]",
                "is no path",
            ),
            (
                "description = \"x\"\n[policy.deprovision_guard]\nwindow = \"1h\"\nemails = \"all\"",
                "keys of [policy] stand before its tables",
            ),
            (
                "[policy]\ndescription = \"x\"",
                "description stands at the beginning",
            ),
        ] {
            let error = Preset::parse(text).err().map(|e| e.to_string());
            assert!(
                error.as_deref().is_some_and(|e| e.contains(told)),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_key_that_is_nobodys_gets_no_hint() {
        assert_eq!(hint("unknown field `groups`, expected one of `a`"), None);
        assert_eq!(hint("missing field `window`"), None);
    }
}
