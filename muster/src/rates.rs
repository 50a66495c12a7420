//! Rates by class of calls, as settings have them: `write=50,read=200`, or a
//! table.

use std::{collections::BTreeMap, fmt, num::NonZeroU32};

use muster_directory::limits;
use muster_proto::v1::RateClass;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::Value;

/// The classes by their names in settings.
const CLASSES: [(&str, RateClass); 6] = [
    ("hot_read", RateClass::HotRead),
    ("read", RateClass::Read),
    ("write", RateClass::Write),
    ("token", RateClass::Token),
    ("stream", RateClass::Stream),
    ("admin", RateClass::Admin),
];

/// Calls per second of the classes that are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rates(limits::Rates);

impl Rates {
    /// These, and the usual rates of all other classes.
    pub(crate) fn over(&self, mut usual: limits::Rates) -> limits::Rates {
        usual.extend(&self.0);
        usual
    }

    fn add<E: Error>(&mut self, name: &str, rate: &Value) -> Result<(), E> {
        let known = CLASSES.iter().find(|(known, _)| *known == name);
        let Some((_, class)) = known else {
            let names = CLASSES.map(|(name, _)| name).join(", ");
            let what = format!("{name:?} is no class of calls; there are {names}");
            return Err(E::custom(what));
        };
        let rate = rate.as_u64().and_then(|rate| u32::try_from(rate).ok());
        let rate = rate.and_then(NonZeroU32::new).ok_or_else(|| {
            let most = u32::MAX;
            E::custom(format!("{name} must be a whole number from 1 to {most}"))
        })?;
        match self.0.insert(*class, rate) {
            None => Ok(()),
            Some(_) => Err(E::custom(format!("{name} stands there twice"))),
        }
    }
}

impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = CLASSES.iter();
        let named = named.filter_map(|(name, class)| Some((*name, self.0.get(class)?)));
        named.collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Rates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rates like \"write=50,read=200\", or a table of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rates, E> {
        let mut rates = Rates::default();
        let parts = text.split(',').map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            let pair = part.split_once('=');
            let (name, rate) =
                pair.ok_or_else(|| E::custom(format!("{part:?} must be like write=50")))?;
            let rate: Option<u64> = rate.trim().parse().ok();
            rates.add(name.trim(), &Value::from(rate))?;
        }
        Ok(rates)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rates, A::Error> {
        let mut rates = Rates::default();
        while let Some((name, rate)) = map.next_entry::<String, Value>()? {
            rates.add(&name, &rate)?;
        }
        Ok(rates)
    }
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format as _, Serialized, Toml},
    };

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Settings {
        rate_limits: Rates,
    }

    fn read(toml: &str) -> Result<Vec<(RateClass, u32)>, String> {
        let defaults = Serialized::defaults(Settings::default());
        let figment = Figment::from(defaults).merge(Toml::string(toml));
        let settings: Settings = figment.extract().map_err(|e| e.to_string())?;
        let rates = settings.rate_limits.0.into_iter();
        Ok(rates.map(|(class, rate)| (class, rate.get())).collect())
    }

    #[test]
    fn rates_are_a_text_or_a_table() {
        let expected = vec![(RateClass::HotRead, 200), (RateClass::Write, 50)];
        for toml in [
            "rate_limits = \"write=50,hot_read=200\"",
            "rate_limits = \" hot_read = 200 , write = 50, \"",
            "rate_limits = {write = 50, hot_read = 200}",
            "[rate_limits]\nwrite = 50\nhot_read = 200",
        ] {
            assert_eq!(read(toml).as_ref(), Ok(&expected), "{toml}");
        }
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("rate_limits = \"\""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_rate_is_refused_with_its_name() {
        for (value, told) in [
            ("\"writes=50\"", "\"writes\" is no class of calls"),
            (
                "\"unspecified=50\"",
                "hot_read, read, write, token, stream, admin",
            ),
            ("{Write = 50}", "\"Write\" is no class of calls"),
            ("\"write=0\"", "write must be a whole number from 1"),
            ("\"write=fast\"", "write must be a whole number from 1"),
            ("\"write=\"", "write must be a whole number from 1"),
            ("\"write=1.5\"", "write must be a whole number from 1"),
            (
                "\"write=4294967296\"",
                "write must be a whole number from 1",
            ),
            ("{write = 0}", "write must be a whole number from 1"),
            ("{write = -1}", "write must be a whole number from 1"),
            ("{write = \"50\"}", "write must be a whole number from 1"),
            ("\"write=1,write=2\"", "write stands there twice"),
            ("\"write\"", "\"write\" must be like write=50"),
            ("50", "expected rates like"),
            ("[50]", "expected rates like"),
        ] {
            let error = read(&format!("rate_limits = {value}")).expect_err(value);
            assert!(error.contains(told), "{value}: {error}");
            assert!(error.contains("rate_limits"), "{value}: {error}");
        }
    }

    #[test]
    fn classes_that_are_not_named_keep_their_rate() {
        let usual = limits::LimitSettings::default().client;
        assert_eq!(usual.len(), CLASSES.len());
        let fifty = NonZeroU32::MIN.saturating_add(49);
        let rates = Rates(limits::Rates::from([(RateClass::Write, fifty)]));
        let over = rates.over(usual.clone());
        for (class, rate) in over {
            let expected = match class {
                RateClass::Write => fifty,
                other => usual[&other],
            };
            assert_eq!(rate, expected, "{class:?}");
        }
    }
}
