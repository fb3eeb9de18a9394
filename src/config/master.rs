//! The setting of the master keys: themselves in the environment, or a file of them. Must not know: what they protect.

use std::path::PathBuf;

use super::ConfigError;
use crate::security::MasterKeys;

/// Where the master keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySetting {
    /// Here: from the environment.
    Given(MasterKeys),
    /// In this file, which only its owner may read.
    File(PathBuf),
}

impl MasterKeySetting {
    /// What one place says.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] where it says both.
    pub(super) fn of(keys: Option<MasterKeys>, file: Option<PathBuf>) -> Result<Option<Self>, ConfigError> {
        match (keys, file) {
            (None, None) => Ok(None),
            (Some(keys), None) => Ok(Some(Self::Given(keys))),
            (None, Some(path)) => Ok(Some(Self::File(path))),
            (Some(_), Some(_)) => {
                let problem = "PRESSWORK_MASTER_KEY_FILE is set as well: choose one of both";
                Err(ConfigError::wrong("PRESSWORK_MASTER_KEY", problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Settings};

    #[test]
    fn a_flag_beats_the_environment_which_says_one_of_both_and_never_shows_a_key() {
        let key = "11".repeat(32);
        let load = |flag: Option<&str>, key: &str, file: &str| {
            let variable = |name: &str| match name {
                "PRESSWORK_MASTER_KEY" => Some(key.into()),
                "PRESSWORK_MASTER_KEY_FILE" => Some(file.into()),
                _ => None,
            };
            let flags = Layer { master_key_file: flag.map(PathBuf::from), ..Layer::default() };
            Settings::load(flags, None, &variable)
        };
        let given = load(None, &key, "").unwrap();
        assert_eq!(given.master_key, Some(MasterKeySetting::Given(key.parse().unwrap())));
        assert!(!format!("{given:?}").contains("1111"), "{given:?}");
        let file = |path: &str| Some(MasterKeySetting::File(PathBuf::from(path)));
        assert_eq!(load(None, "", "/k").unwrap().master_key, file("/k"));
        assert_eq!(load(Some("/f"), &key, "").unwrap().master_key, file("/f"));
        assert_eq!(load(None, "", "").unwrap().master_key, None);
        assert!(load(None, &key, "/k").unwrap_err().to_string().contains("choose one of both"));
        let error = load(None, "hunter2", "").unwrap_err().to_string();
        assert!(error.starts_with("PRESSWORK_MASTER_KEY") && !error.contains("hunter2"), "{error}");
    }
}
