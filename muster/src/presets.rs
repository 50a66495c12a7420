//! Policies that come with muster, and files of the same form.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use muster_directory::domain::{flavor::Flavor, policy::Policy};
use muster_proto::schema::{Definition, Extends};
use serde::Deserialize;
use serde_json::json;

use crate::{
    arguments::{self, PolicySource},
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

/// What a connection is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// What it is for, in a sentence.
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
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
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

/// The preset or file that is named, if one is.
pub(crate) fn read(source: &PolicySource, settings: &Settings) -> anyhow::Result<Option<Preset>> {
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
    if let Some(base) = &preset.policy.base_path {
        let served = settings.check_served(base);
        served.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
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
            output::many(&shown, *json)?;
        }
        arguments::Preset::Show { name } => {
            io::stdout().write_all(file(name)?.as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::Registry;

    use super::*;

    #[test]
    fn every_preset_can_be_meant() {
        for (name, text) in PRESETS {
            let preset = Preset::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
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
            ("[policy]\n", "missing field `description`"),
            (
                "description = \"x\"\n[policy]\non_match = \"steal\"",
                "unknown variant `steal`",
            ),
            (
                "description = \"x\"\n[policy]\nrequired_attributes = [\"emails[primary eq true]\"]",
                "is no path",
            ),
        ] {
            let error = Preset::parse(text).err().map(|e| e.to_string());
            assert!(
                error.as_deref().is_some_and(|e| e.contains(told)),
                "{error:?}"
            );
        }
    }
}
