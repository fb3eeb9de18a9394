//! `[sessions]` of `presswork.toml`: how long browsers stay logged in.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, TimeSpan};
use crate::security::sessions::SessionRules;

/// What the file says of sessions. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsLayer {
    /// [`SessionRules::idle`]: a minute to a day.
    pub idle: Option<TimeSpan>,
    /// [`SessionRules::most_age`]: a minute to 30 days.
    pub age: Option<TimeSpan>,
    /// [`SessionRules::most`]: 1 to 500.
    pub most: Option<usize>,
}

impl SessionsLayer {
    /// The rules, with what is said here in place of what was said there.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] where a value is out of bounds.
    pub(super) fn over(self, rules: SessionRules) -> Result<SessionRules, ConfigError> {
        let span = |name, span: Option<TimeSpan>, otherwise: Duration, most: u64| {
            let (span, bounds) =
                (span.map_or(otherwise, |span| span.0), Duration::from_secs(60)..=Duration::from_secs(most));
            let most = TimeSpan(Duration::from_secs(most));
            let wrong = || ConfigError::wrong(name, format_args!("choose 1m to {most}"));
            bounds.contains(&span).then_some(span).ok_or_else(wrong)
        };
        let most = self.most.unwrap_or(rules.most);
        if !(1..=500).contains(&most) {
            return Err(ConfigError::wrong("sessions.most", "choose 1 to 500"));
        }
        Ok(SessionRules {
            idle: span("sessions.idle", self.idle, rules.idle, 86_400)?,
            most_age: span("sessions.age", self.age, rules.most_age, 30 * 86_400)?,
            most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_held_against_their_bounds() {
        let read = |text: &str| toml::from_str::<SessionsLayer>(text).unwrap().over(SessionRules::default());
        let rules = read("idle = \"5m\"\nage = \"1h\"\nmost = 3").unwrap();
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert_eq!((rules.idle, rules.most_age, rules.most), (minutes(5), minutes(60), 3));
        assert_eq!(read("").unwrap(), SessionRules::default());
        for wrong in ["idle = \"1s\"", "idle = \"2d\"", "age = \"31d\"", "most = 0"] {
            assert!(read(wrong).unwrap_err().to_string().starts_with("sessions."), "{wrong}");
        }
    }
}
