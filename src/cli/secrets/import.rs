//! `secrets import-env`: what the environment or a `.env` file has, into the vault. Tells names, never values.

use std::{fs::File, io::Read as _, path::PathBuf};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::dotenv;
use crate::{
    cli::{
        app::{App, blocking},
        error::CliError,
    },
    security::{
        Acting,
        vault::{MOST_SECRET_BYTES, SecretFacts, SecretName, SecretNameError},
    },
};

/// A `.env` file is not larger.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// The variables that providers' own tools read, and what their keys are called here. The first that is set counts.
const KNOWN: [(&str, &str); 27] = [
    ("ANTHROPIC_API_KEY", "anthropic"),
    ("AZURE_OPENAI_API_KEY", "azure-openai"),
    ("CEREBRAS_API_KEY", "cerebras"),
    ("COHERE_API_KEY", "cohere"),
    ("CO_API_KEY", "cohere"),
    ("DEEPL_API_KEY", "deepl"),
    ("DEEPL_AUTH_KEY", "deepl"),
    ("DEEPSEEK_API_KEY", "deepseek"),
    ("ELEVENLABS_API_KEY", "elevenlabs"),
    ("FIREWORKS_API_KEY", "fireworks"),
    ("GEMINI_API_KEY", "google"),
    ("GOOGLE_API_KEY", "google"),
    ("GROQ_API_KEY", "groq"),
    ("HF_TOKEN", "huggingface"),
    ("HUGGINGFACE_API_KEY", "huggingface"),
    ("MISTRAL_API_KEY", "mistral"),
    ("OLLAMA_API_KEY", "ollama"),
    ("OPENAI_API_KEY", "openai"),
    ("OPENROUTER_API_KEY", "openrouter"),
    ("PERPLEXITY_API_KEY", "perplexity"),
    ("PPLX_API_KEY", "perplexity"),
    ("REPLICATE_API_TOKEN", "replicate"),
    ("STABILITY_API_KEY", "stability"),
    ("TOGETHER_API_KEY", "together"),
    ("VOYAGE_API_KEY", "voyage"),
    ("XAI_API_KEY", "xai"),
    ("GROK_API_KEY", "xai"),
];

#[derive(Args)]
pub(super) struct Arguments {
    /// Variables to store, as VARIABLE or name=VARIABLE [default: those of providers that are known, such as OPENAI_API_KEY]
    // Read here and not by clap, whose words would quote what may be a secret.
    variable: Vec<String>,
    /// Reads a .env file instead of the environment
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A variable, and what its value is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    variable: String,
    name: SecretName,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, variable) =
            text.split_once('=').map_or((None, text), |(name, variable)| (Some(name), variable));
        let is_variable =
            !variable.is_empty() && variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_variable {
            return Err("write VARIABLE or name=VARIABLE: the variable's name, not what is in it".to_owned());
        }
        let name: Result<SecretName, SecretNameError> = match name {
            Some(name) => name.parse(),
            None => known(variable).map_or_else(|| variable.to_ascii_lowercase().parse(), str::parse),
        };
        Ok(Self { variable: variable.to_owned(), name: name.map_err(|error| error.to_string())? })
    }
}

fn known(variable: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == variable).map(|(_, name)| *name)
}

/// What became of the variables; no value is in it.
#[derive(Serialize)]
struct Imported {
    imported: Vec<One>,
    /// Of the file, but neither known nor named.
    left: Vec<String>,
}

#[derive(Serialize)]
struct One {
    variable: String,
    #[serde(flatten)]
    facts: SecretFacts,
}

pub(super) async fn run(app: &App, Arguments { variable, file }: Arguments) -> Result<(), CliError> {
    let wanted = variable.iter().map(|text| text.parse::<Wanted>().map_err(CliError::usage));
    let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
    let (place, variables) = match file {
        Some(path) => (path.display().to_string(), read(path).await?),
        None => ("the environment".to_owned(), environment(&wanted)?),
    };
    let (chosen, left) = choose(&place, variables, wanted)?;
    if chosen.is_empty() {
        let message = format_args!("{place} has no key of a provider that is known");
        return Err(CliError::not_found(message).hint("name variables: `secrets import-env name=VARIABLE`"));
    }
    let engine = app.engine().await?;
    let mut imported = Vec::new();
    for (Wanted { variable, name }, value) in chosen {
        let facts = engine.vault.set(app.tenant(), &name, &value, &Acting::command_line()).await?;
        app.output().line(format_args!("{variable} is stored as {name}, version {}", facts.version))?;
        imported.push(One { variable, facts });
    }
    if !left.is_empty() {
        app.output().note(format_args!("left, for they were not named: {}", left.join(" ")));
    }
    app.output().document(&Imported { imported, left })
}

type Variables = Vec<(String, SecretString)>;

/// What the environment has of what is wanted, or of what is known: nothing else is looked at.
fn environment(wanted: &[Wanted]) -> Result<Variables, CliError> {
    let named = wanted.iter().map(|wanted| wanted.variable.as_str());
    let known = KNOWN.iter().map(|(variable, _)| *variable).filter(|_| wanted.is_empty());
    let mut variables = Vec::new();
    for variable in named.chain(known) {
        let Some(value) = std::env::var_os(variable) else { continue };
        let value = value.into_string();
        let value =
            value.map_err(|_| CliError::usage(format_args!("{variable} holds no text: encode it first")))?;
        let value = Zeroizing::new(value);
        variables.push((variable.to_owned(), SecretString::from(value.as_str())));
    }
    Ok(variables)
}

async fn read(path: PathBuf) -> Result<Variables, CliError> {
    blocking(move || {
        let place = path.display();
        let unusable = |error: std::io::Error| CliError::usage(format_args!("{place}: {error}"));
        let file = File::open(&path).map_err(unusable)?;
        let size = file.metadata().map_or(0, |facts| facts.len()).min(MOST_FILE_BYTES);
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
        file.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unusable)?;
        if bytes.len() as u64 > MOST_FILE_BYTES {
            return Err(CliError::usage(format_args!("{place} has more than 1 MiB: that is no .env file")));
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|_| CliError::usage(format_args!("{place} is no text")))?;
        dotenv::parse(text).map_err(|error| CliError::usage(format_args!("{place}, {error}")))
    })
    .await?
}

type Chosen = Vec<(Wanted, SecretString)>;

/// What is to be stored, each name once, and the variables that are left. All is looked at before anything is stored.
fn choose(place: &str, variables: Variables, wanted: Vec<Wanted>) -> Result<(Chosen, Vec<String>), CliError> {
    let mut variables: Vec<_> =
        variables.into_iter().filter(|(_, value)| !value.expose_secret().is_empty()).collect();
    for (variable, value) in &variables {
        let is_wanted = known(variable).is_some() || wanted.iter().any(|wanted| wanted.variable == *variable);
        if is_wanted && value.expose_secret().len() > MOST_SECRET_BYTES {
            return Err(CliError::usage(format_args!(
                "{variable} is too long: a secret has {MOST_SECRET_BYTES} bytes at most"
            )));
        }
    }
    let wanted = if wanted.is_empty() {
        let known = KNOWN.iter().filter(|(known, _)| variables.iter().any(|(variable, _)| variable == known));
        known.filter_map(|(variable, _)| variable.parse::<Wanted>().ok()).collect()
    } else {
        wanted
    };
    let mut chosen: Chosen = Vec::new();
    for wanted in wanted {
        if chosen.iter().any(|(known, _)| known.name == wanted.name) {
            continue;
        }
        let found = variables.iter().position(|(variable, _)| *variable == wanted.variable);
        let found = found.ok_or_else(|| {
            CliError::not_found(format_args!("{place} has no variable {}, or it is empty", wanted.variable))
        })?;
        chosen.push((wanted, variables.remove(found).1));
    }
    Ok((chosen, variables.into_iter().map(|(variable, _)| variable).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        text.parse().unwrap()
    }

    fn variables(names: &[&str]) -> Variables {
        names.iter().map(|name| ((*name).to_owned(), SecretString::from("hunter2"))).collect()
    }

    #[test]
    fn a_variable_is_stored_under_its_providers_name_or_the_one_that_is_given() {
        assert_eq!(wanted("OPENAI_API_KEY").name.as_str(), "openai");
        assert_eq!(wanted("STRIPE_KEY").name.as_str(), "stripe_key");
        assert_eq!(
            (wanted("pay=STRIPE_KEY").name.as_str(), wanted("pay=STRIPE_KEY").variable.as_str()),
            ("pay", "STRIPE_KEY")
        );
        for wrong in ["", "=", "pay=", "=KEY", "sk-hunter2", "openai=sk-hunter2", "PAY=KEY"] {
            let error = wrong.parse::<Wanted>().unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(KNOWN.iter().all(|(variable, name)| wanted(variable).name.as_str() == *name));
    }

    #[test]
    fn what_is_not_known_or_named_is_left_and_told() {
        let all = ["OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "HOME"];
        let (chosen, left) = choose("here", variables(&all), Vec::new()).unwrap();
        let names: Vec<_> =
            chosen.iter().map(|(wanted, _)| (wanted.variable.as_str(), wanted.name.as_str())).collect();
        assert_eq!(names, [("GEMINI_API_KEY", "google"), ("OPENAI_API_KEY", "openai")]);
        assert_eq!(left, ["GOOGLE_API_KEY", "HOME"]);
        let (chosen, left) = choose("here", variables(&all), vec![wanted("h=HOME")]).unwrap();
        assert_eq!((chosen.len(), left.len()), (1, 3));
        let error = choose("here", variables(&all), vec![wanted("h=HOM")]).err().unwrap().to_text();
        assert!(error.contains("here has no variable HOM") && !error.contains("hunter2"), "{error}");
    }
}
