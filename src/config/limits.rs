//! `[limits]` of `presswork.toml`: rates by resource, over the defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::{
    domain::Rate,
    limits::{LimitRules, Resource},
};

/// Rates by resource: `generation = "20/min:5"`; `"none"` for no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsSetting(pub BTreeMap<Resource, Option<Rate>>);

impl LimitsSetting {
    /// These rules, with what is named here put over them.
    pub fn over(self, mut rules: LimitRules) -> LimitRules {
        for (resource, rate) in self.0 {
            match rate {
                Some(rate) => rules.0.insert(resource, rate),
                None => rules.0.remove(&resource),
            };
        }
        rules
    }
}

impl<'de> Deserialize<'de> for LimitsSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<Resource, String>::deserialize(deserializer)?;
        let read = |(resource, text): (Resource, String)| {
            if text == "none" {
                return Ok((resource, None));
            }
            let rate = text.parse().map_err(|problem| {
                de::Error::custom(format_args!("the limit of {resource}: {problem}, or none"))
            })?;
            Ok((resource, Some(rate)))
        };
        texts.into_iter().map(read).collect::<Result<_, D::Error>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;

    fn read(text: &str) -> Result<LimitsSetting, String> {
        let layer = toml::from_str::<Layer>(text).map_err(|error| error.to_string())?;
        Ok(layer.limits.unwrap_or_default())
    }

    #[test]
    fn what_is_named_stands_over_the_defaults_and_none_lifts_one() {
        let text = "[limits]\ngeneration = \"20/min:5\"\n\"model:openai/key-1\" = \"3/s\"\napi = \"none\"";
        let rules = read(text).unwrap().over(LimitRules::default());
        let mut expected = LimitRules::default();
        expected.0.insert(LimitRules::GENERATION, "20/min:5".parse().unwrap());
        expected.0.insert("model:openai/key-1".parse().unwrap(), "3/s".parse().unwrap());
        expected.0.remove(&LimitRules::API);
        assert_eq!(rules, expected);
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_refused_by_its_name() {
        for (text, named) in
            [("api = \"many\"", "api"), ("api = 5", "string"), ("\"a b\" = \"1/s\"", "resource")]
        {
            let error = read(&format!("[limits]\n{text}")).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
