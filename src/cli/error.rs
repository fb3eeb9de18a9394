//! How a command ends when it does not end well. Owns: [`CliError`], the exit codes and the shape of an error in JSON.
//! Must not know: commands.

use std::{fmt, process::ExitCode};

use serde::Serialize;

use crate::{
    artifact::{ArtifactError, CREDENTIALS},
    config::ConfigError,
    domain::NameError,
    engine::EngineError,
    limits::LimitError,
    progress::ProgressError,
    queue::{QueueError, Refusal},
    schedule::ScheduleError,
    security::KeyringError,
    store::StoreError,
    telemetry::TelemetryError,
    worker::{PayloadError, WorkerError},
};

/// What somebody should do next, one variant each; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Look at the job's reason: it ended dead or cancelled. Exit code 1.
    JobFailed,
    /// Mend the call: a flag, a name, a payload or a setting is wrong. Exit code 2.
    Usage,
    /// Name something that is there. Exit code 2.
    NotFound,
    /// Try again later: a limit is reached, nothing was accepted. Exit code 3.
    Refused,
    /// Try again later, or mend the data directory. Exit code 3.
    Unavailable,
    /// Make it again: what is stored is not what was written. Exit code 3.
    Damaged,
    /// Report it: our bug. Exit code 3.
    Bug,
    /// Mend what is named: settings are not safe. Exit code 4.
    Insecure,
    /// Nothing: somebody pressed ctrl-c. Exit code 130.
    Interrupted,
    /// Nothing: whoever read the results has gone. Exit code 0, without a word.
    OutputClosed,
}

impl ErrorKind {
    /// What the process ends with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::JobFailed => 1,
            Self::Usage | Self::NotFound => 2,
            Self::Refused | Self::Unavailable | Self::Damaged | Self::Bug => 3,
            Self::Insecure => 4,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command did not end well, in words for its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl CliError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }

    /// The call is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Something that was named is not there.
    pub fn not_found(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Something that is needed can't be used now.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    /// What to do next.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        self.kind.exit_code().into()
    }

    /// `{"error":{"type":…,"message":…,"hint":…}}`; `hint` may be null.
    pub fn to_json(&self) -> String {
        let error = Body { kind: self.kind, message: &self.message, hint: self.hint.as_deref() };
        // Strings and a name can't fail to be JSON.
        serde_json::to_string(&Document { error }).unwrap_or_default()
    }

    /// For people: `error: …`, and the hint on a line of its own.
    pub fn to_text(&self) -> String {
        let label = if self.kind == ErrorKind::Interrupted { "" } else { "error: " };
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        format!("{label}{}{hint}", self.message)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: ErrorKind,
    message: &'a str,
    hint: Option<&'a str>,
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let hint = match error {
            EngineError::Unwritable { .. } => {
                "free disk space or mend its permissions, or choose another with --data-dir"
            }
            EngineError::Unavailable { .. } => "try again; another program may hold its files",
            EngineError::Storage(_) => {
                return Self::unavailable(error).hint(format!(
                    "mend --storage-url or PRESSWORK_STORAGE_URL, or its credentials; {CREDENTIALS}"
                ));
            }
            EngineError::Redis { .. } => "start it, or mend --redis-url or PRESSWORK_REDIS_URL",
            EngineError::MasterKey(_) => {
                "the same master keys belong to all processes; without them nothing that is sealed can be read"
            }
            EngineError::Unusable { .. } => {
                "use the version that wrote it, restore it from a backup, or choose another with --data-dir"
            }
        };
        Self::unavailable(error).hint(hint)
    }
}

impl From<QueueError> for CliError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Invalid(problem) => Self::usage(problem),
            other => Self::unavailable(other),
        }
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(problem) => Self::usage(problem),
            full => Self::new(ErrorKind::Refused, full),
        }
    }
}

impl From<ProgressError> for CliError {
    fn from(error: ProgressError) -> Self {
        match error {
            ProgressError::UnknownJob { .. } => Self::not_found(error),
            ProgressError::Unavailable { .. } => Self::unavailable(error),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Invalid(problem) => Self::usage(problem),
            other => Self::unavailable(other),
        }
    }
}

impl From<KeyringError> for CliError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => error.into(),
            KeyringError::NoMasterKey | KeyringError::TooMany { .. } => Self::usage(error),
            KeyringError::UnknownKey { .. } | KeyringError::Damaged { .. } => {
                Self::new(ErrorKind::Damaged, error)
            }
            KeyringError::Broken(_) => Self::new(ErrorKind::Bug, error),
            KeyringError::MasterKeyLost { .. }
            | KeyringError::MasterKeyAway { .. }
            | KeyringError::NoKey { .. }
            | KeyringError::Master(_) => Self::unavailable(error),
        }
    }
}

impl From<LimitError> for CliError {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Unavailable { .. } => Self::unavailable(error),
            LimitError::Broken(_) => Self::new(ErrorKind::Bug, error),
        }
    }
}

impl From<ScheduleError> for CliError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Timing(_) | ScheduleError::Invalid(_) => Self::usage(error),
            ScheduleError::Unknown { .. } => Self::not_found(error),
            ScheduleError::Store(error) => error.into(),
            ScheduleError::Queue(error) => error.into(),
        }
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Missing { .. } | ArtifactError::Damaged { .. } => {
                Self::new(ErrorKind::Damaged, error)
            }
            ArtifactError::Invalid(problem) => Self::usage(problem),
            ArtifactError::Removed { .. } => Self::not_found(error),
            ArtifactError::Storage { .. }
            | ArtifactError::Stopped(_)
            | ArtifactError::StartOver(_)
            | ArtifactError::LeaseLost
            | ArtifactError::Keys { .. }
            | ArtifactError::Seal(_) => Self::unavailable(error),
        }
    }
}

impl From<WorkerError> for CliError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::NoKinds | WorkerError::UnknownKind(_) => Self::usage(error),
            WorkerError::Broken(_) => Self::new(ErrorKind::Bug, error),
        }
    }
}

impl From<TelemetryError> for CliError {
    fn from(error: TelemetryError) -> Self {
        match error {
            TelemetryError::Filter { .. } => Self::usage(error),
            TelemetryError::Twice => Self::new(ErrorKind::Bug, error),
        }
    }
}

macro_rules! is_usage {
    ($($error:ty),*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::usage(error)
            }
        }
    )*};
}

is_usage!(ConfigError, NameError, PayloadError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_json_has_a_type_a_message_and_a_hint() {
        let json = CliError::not_found("there is no job").hint("look again").to_json();
        let expected = r#"{"error":{"type":"not-found","message":"there is no job","hint":"look again"}}"#;
        assert_eq!(json, expected);
        assert!(CliError::usage("x").to_json().ends_with(r#""hint":null}}"#));
    }

    #[test]
    fn exit_codes_are_those_that_the_help_tells() {
        let refusal = Refusal::Invalid("x".to_owned());
        assert_eq!(CliError::from(refusal).kind().exit_code(), 2);
        assert_eq!(CliError::from(QueueError::Corrupt("x".to_owned())).kind().exit_code(), 3);
        assert_eq!(ErrorKind::JobFailed.exit_code(), 1);
        assert_eq!(ErrorKind::OutputClosed.exit_code(), 0);
    }
}
