//! `secrets set|list|rotate|rm|import-env|rewrap`: keys of providers and other secrets of a tenant. Values come by standard
//! input, a file or the environment, and are never shown. Must not know: how they are sealed.

mod dotenv;
mod import;

use std::{
    ffi::OsString,
    fs::File,
    io::{IsTerminal as _, Read},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    app::{App, blocking},
    command::Command,
    error::{CliError, ErrorKind},
};
use crate::{
    domain::TenantId,
    engine::Engine,
    security::{
        Acting,
        vault::{MOST_SECRET_BYTES, SecretFacts, SecretName, VaultError},
    },
};

/// How many secrets of a listing are read at once.
const PAGE: usize = 200;

pub(super) struct Secrets;

#[derive(Args)]
pub(super) struct SecretsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Stores a secret of the tenant, read from standard input or a file; one end of line behind it is left out
    Set(ValueArguments),
    /// Lists the tenant's secrets: names, versions, times; never values
    List,
    /// Gives a secret that is there a new value, read as by set
    Rotate(ValueArguments),
    /// Removes secrets
    Rm {
        /// Their names
        #[arg(required = true)]
        name: Vec<SecretName>,
    },
    /// Stores what the environment or a .env file has: keys of providers that are known, or those that are named
    ImportEnv(import::Arguments),
    /// Seals secrets with the tenant's newest data key, after `keys rotate`; of all tenants, or of that of --tenant
    Rewrap,
}

#[derive(Args)]
struct ValueArguments {
    /// What it is called: 1 to 100 of a-z, 0-9, _, . and -
    // Read here and not by clap, whose words would quote what may be the secret.
    name: String,
    /// Reads the value from standard input, also where that is a terminal
    #[arg(long, conflicts_with = "from_file")]
    stdin: bool,
    /// Reads the value from a file
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Taken only to be refused in words that do not quote it
    #[arg(hide = true, allow_hyphen_values = true)]
    value: Vec<OsString>,
}

impl Command for Secrets {
    const NAME: &'static str = "secrets";
    const ABOUT: &'static str = "Keeps keys of providers and other secrets of a tenant, sealed";
    type Arguments = SecretsArguments;

    async fn run(arguments: SecretsArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Set(arguments) => set(app, arguments, false).await,
            Action::Rotate(arguments) => set(app, arguments, true).await,
            Action::List => list(app, &app.existing_engine().await?).await,
            Action::Rm { name } => remove(app, &app.existing_engine().await?, name).await,
            Action::ImportEnv(arguments) => import::run(app, arguments).await,
            Action::Rewrap => rewrap(app, &app.existing_engine().await?).await,
        }
    }
}

/// # Errors
/// Where a value stands on the command line: everybody on the machine can read it there, and the shell's history keeps it.
fn name_of(arguments: &ValueArguments) -> Result<SecretName, CliError> {
    let is_alone = arguments.value.is_empty() && !arguments.name.contains('=');
    if !is_alone {
        let message = "a secret's value must not stand on the command line: others can read it there, and the shell's \
            history keeps it; if it was a real one, replace it at its provider";
        return Err(CliError::usage(message).hint(
            "`presswork secrets set NAME --from-file FILE`, or pipe it in: `… | presswork secrets set NAME`",
        ));
    }
    arguments.name.parse().map_err(CliError::usage)
}

async fn set(app: &App, arguments: ValueArguments, must_be_there: bool) -> Result<(), CliError> {
    let name = name_of(&arguments)?;
    let value = read(arguments.stdin, arguments.from_file).await?;
    let engine = if must_be_there { app.existing_engine().await? } else { app.engine().await? };
    if must_be_there && engine.vault.facts(app.tenant(), &name).await?.is_none() {
        return Err(no_secret(app.tenant(), &name));
    }
    let facts = engine.vault.set(app.tenant(), &name, &value, &Acting::command_line()).await?;
    let (name, version) = (&facts.name, facts.version);
    app.output().line(format_args!("stored {name}, version {version}, for tenant {}", app.tenant()))?;
    app.output().document(&facts)
}

async fn read(stdin: bool, file: Option<PathBuf>) -> Result<SecretString, CliError> {
    blocking(move || match file {
        Some(path) => {
            let unusable =
                |error: std::io::Error| CliError::usage(format_args!("{}: {error}", path.display()));
            value(File::open(&path).map_err(unusable)?, &path.display().to_string())
        }
        None if !stdin && std::io::stdin().is_terminal() => Err(CliError::usage(
            "where is the value? It is read from standard input or a file, never from the command line",
        )
        .hint("--from-file FILE, or pipe it in; --stdin reads what you type, which the terminal shows")),
        None => value(std::io::stdin().lock(), "standard input"),
    })
    .await?
}

/// A value from where it can be read, without the one end of line that editors and `echo` put behind it.
fn value(from: impl Read, place: &str) -> Result<SecretString, CliError> {
    // Room for all of it at once, so that no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_SECRET_BYTES + 64));
    let read = from.take(MOST_SECRET_BYTES as u64 + 3).read_to_end(&mut bytes);
    read.map_err(|error| CliError::unavailable(format_args!("{place} can't be read: {error}")))?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| {
        CliError::usage(format_args!("{place} holds no text: encode it first, as base64 say"))
    })?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(SecretString::from(text))
}

async fn list(app: &App, engine: &Engine) -> Result<(), CliError> {
    const HEADER: [&str; 6] = ["NAME", "VERSION", "CREATED", "CHANGED", "BY", "SEALED WITH"];
    let output = app.output();
    let mut documents = output.list("secrets")?;
    let (mut after, mut any) = (None, false);
    loop {
        let page = engine.vault.list(app.tenant(), after.as_ref(), PAGE).await?;
        let mut rows = Vec::new();
        for facts in &page.items {
            documents.item(facts)?;
            let SecretFacts { name, version, created_at, changed_at, changed_by, sealed_with } = facts;
            let sealed_with = sealed_with.map_or_else(|| "?".to_owned(), |key| key.to_string());
            let cells = [name as &dyn ToString, version, created_at, changed_at, changed_by, &sealed_with];
            rows.push(cells.map(|cell| cell.to_string()).to_vec());
        }
        if any {
            output.more_rows(&HEADER, &rows)?
        } else {
            output.table(&HEADER, &rows)?
        }
        any |= !rows.is_empty();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !any {
        output.line(format_args!("tenant {} has no secrets: `secrets set NAME` stores one", app.tenant()))?;
    }
    documents.end(false)
}

#[derive(Serialize)]
struct Removed {
    removed: Vec<SecretName>,
}

async fn remove(app: &App, engine: &Engine, names: Vec<SecretName>) -> Result<(), CliError> {
    let (mut removed, mut missing) = (Vec::new(), None);
    for name in names {
        if engine.vault.remove(app.tenant(), &name, &Acting::command_line()).await? {
            app.output().line(format_args!("removed {name}"))?;
            removed.push(name);
        } else {
            missing = Some(name);
        }
    }
    app.output().document(&Removed { removed })?;
    missing.map_or(Ok(()), |name| Err(no_secret(app.tenant(), &name)))
}

#[derive(Default, Serialize)]
struct Rewrapped {
    resealed: u64,
    broken: u64,
}

async fn rewrap(app: &App, engine: &Engine) -> Result<(), CliError> {
    let (mut done, mut after) = (Rewrapped::default(), None);
    loop {
        let tenants: Vec<TenantId> = match &app.named_tenant {
            Some(named) => vec![named.clone()],
            None => {
                engine.keyring.list(after.as_ref()).await?.into_iter().map(|facts| facts.tenant).collect()
            }
        };
        after = tenants.last().cloned();
        for tenant in tenants {
            let resealed = engine.vault.rewrap(&tenant, &Acting::command_line()).await?;
            done.resealed += resealed.resealed;
            done.broken += resealed.broken;
        }
        if after.is_none() || app.named_tenant.is_some() {
            break;
        }
    }
    app.output().line(format_args!("{} secrets are now sealed with the newest data keys", done.resealed))?;
    app.output().document(&done)?;
    if done.broken == 0 {
        return Ok(());
    }
    let message = format_args!("{} secrets can't be opened: their records were changed", done.broken);
    Err(CliError::new(ErrorKind::Damaged, message).hint("store them anew with `secrets set`"))
}

fn no_secret(tenant: &TenantId, name: &SecretName) -> CliError {
    let message = format_args!("tenant {tenant} has no secret {name}");
    CliError::new(ErrorKind::NotFound, message)
        .hint("`secrets list` shows them; another tenant's with --tenant")
}

impl From<VaultError> for CliError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unknown { .. } => Self::not_found(error),
            VaultError::Invalid(problem) => Self::usage(problem),
            VaultError::TooMany { .. } => Self::usage(error),
            VaultError::Broken { .. } => Self::new(ErrorKind::Damaged, error),
            VaultError::Keyring(error) => error.into(),
            VaultError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::cli::stage::Stage;

    #[tokio::test]
    async fn secrets_are_stored_listed_rotated_and_removed_and_never_shown() {
        let stage = Stage::new();
        let file = |name: &str, text: &str| {
            let path = stage.folder().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let env = file(".env", "export OPENAI_API_KEY='sk-hunter2' # mine\nOTHER=hunter3\nHOME=\n");
        let (value, long) = (file("value", "hunter4\n"), file("long", &"hunter5".repeat(MOST_SECRET_BYTES)));
        let mut printed = Vec::new();
        for (line, ends_well) in [
            (format!("set anthropic --from-file {value}"), true),
            (format!("import-env --file {env}"), true),
            (format!("import-env --file {env} spare=OTHER"), true),
            (format!("rotate openai --from-file {value}"), true),
            (format!("rotate missing --from-file {value}"), false),
            (format!("set long --from-file {long}"), false),
            (format!("import-env --file {value}"), false),
            (format!("import-env --file {env} missing=HOME"), false),
            ("set openai sk-hunter6".to_owned(), false),
            ("list".to_owned(), true),
            ("rewrap".to_owned(), true),
        ] {
            for is_json in [true, false] {
                let (text, ended) = stage.run::<Secrets>(is_json, &line).await;
                assert_eq!(ended.is_ok(), ends_well, "{line}: {ended:?}");
                printed.push(text + &ended.err().map_or_else(String::new, |error| error.to_text()));
            }
        }
        let printed = printed.join("\n");
        assert!(!printed.contains("hunter"), "{printed}");
        assert!(printed.contains("OPENAI_API_KEY is stored as openai, version 2"), "{printed}");
        let listed = stage.json::<Secrets>("list").await;
        let versions: Vec<_> =
            listed["secrets"].as_array().unwrap().iter().map(|one| (&one["name"], &one["version"])).collect();
        let expected = [("anthropic", 2), ("openai", 4), ("spare", 2)]
            .map(|(name, version)| (name.into(), version.into()));
        assert_eq!(versions, expected.iter().map(|(name, version)| (name, version)).collect::<Vec<_>>());
        assert_eq!(
            stage.json::<Secrets>("rm openai spare").await["removed"],
            serde_json::json!(["openai", "spare"])
        );
        let (_, ended) = stage.run::<Secrets>(true, "rm openai").await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotFound);
    }

    fn arguments(line: &str) -> Result<ValueArguments, clap::Error> {
        let command = Secrets::augment(clap::Command::new("secrets"));
        let matches = command.try_get_matches_from(line.split(' '))?;
        match <SecretsArguments as clap::FromArgMatches>::from_arg_matches(&matches)?.action {
            Action::Set(arguments) => Ok(arguments),
            _ => unreachable!("every line sets"),
        }
    }

    impl Secrets {
        fn augment(command: clap::Command) -> clap::Command {
            <SecretsArguments as Args>::augment_args(command)
        }
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_and_not_quoted() {
        for line in [
            "secrets set openai sk-hunter2",
            "secrets set openai sk-hunter2 more",
            "secrets set openai=sk-hunter2",
            "secrets set openai -----BEGIN hunter2",
            "secrets set openai sk-hunter2 --stdin",
        ] {
            let error = name_of(&arguments(line).unwrap()).unwrap_err();
            let text = error.to_text();
            assert!(
                text.contains("must not stand on the command line") && !text.contains("hunter2"),
                "{text}"
            );
        }
        let wrong = name_of(&arguments("secrets set sk-Hunter2").unwrap()).unwrap_err().to_text();
        assert!(wrong.contains("not a secret's name") && !wrong.contains("unter2"), "{wrong}");
        for line in ["secrets set openai", "secrets set openai --stdin", "secrets set --from-file x openai"] {
            assert_eq!(name_of(&arguments(line).unwrap()).unwrap().as_str(), "openai", "{line}");
        }
        assert!(arguments("secrets set openai --stdin --from-file x").is_err());
    }

    #[test]
    fn one_end_of_line_is_left_out_and_nothing_else() {
        for (text, expected) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a \n", " a "),
            ("\n", ""),
            ("-\nx\n-\n", "-\nx\n-"),
        ] {
            assert_eq!(value(text.as_bytes(), "here").unwrap().expose_secret(), expected);
        }
        assert!(value(&b"\xff"[..], "here").unwrap_err().to_text().contains("base64"));
        let long = "x".repeat(10 * MOST_SECRET_BYTES);
        assert_eq!(value(long.as_bytes(), "here").unwrap().expose_secret().len(), MOST_SECRET_BYTES + 3);
    }
}
