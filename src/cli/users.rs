//! `users create|invite|list|show|disable|enable|remove|reset|import|rotate-signing-key`: who may log in. Whoever may run this
//! on the machine may do all of it, so the first admin is made here.

use std::{io::Read as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    app::{App, blocking},
    command::Command,
    error::{CliError, ErrorKind},
};
use crate::{
    domain::{TenantId, Timestamp},
    engine::Engine,
    security::{
        access::Role,
        audit::{Action as Act, Actor, Entry},
        login::Links,
        passwords::{self, Password, PasswordError, Passwords},
        tokens::TokenError,
        users::{NewUser, User, UserError, UserName},
    },
};

pub(super) struct Users;

/// What is read of standard input or a file of users at most.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Args)]
pub(super) struct UsersArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Args)]
#[group(id = "what", required = true, multiple = false)]
struct WhichRole {
    /// What he may do: viewer, producer, operator, admin or root
    #[arg(long)]
    role: Option<Role>,
    /// As --role admin: everything in the tenant
    #[arg(long)]
    admin: bool,
}

impl WhichRole {
    fn role(&self) -> Role {
        self.role.filter(|_| !self.admin).unwrap_or(Role::Admin)
    }
}

#[derive(Subcommand)]
enum Action {
    /// Makes a user of --tenant; without a password the answer has a one-time link's token, by which he sets one
    Create {
        /// What he logs in with
        name: UserName,
        #[command(flatten)]
        role: WhichRole,
        /// Reads the password from standard input, its first line
        #[arg(long)]
        password_stdin: bool,
    },
    /// Makes a user and a one-time link's token by which he sets his password, good for a day
    Invite {
        /// What he logs in with
        name: UserName,
        #[command(flatten)]
        role: WhichRole,
    },
    /// Lists the users of --tenant, the oldest first
    List,
    /// Shows a user of --tenant
    Show {
        /// What he logs in with
        name: UserName,
    },
    /// Lets a user no longer log in, and ends all that was given to him
    Disable {
        /// What he logs in with
        name: UserName,
    },
    /// Lets a user log in again
    Enable {
        /// What he logs in with
        name: UserName,
    },
    /// Removes a user for good
    Remove {
        /// What he logs in with
        name: UserName,
    },
    /// Makes a one-time link's token for a new password, good for half an hour
    Reset {
        /// What he logs in with
        name: UserName,
        /// Takes his second factor away as well
        #[arg(long)]
        remove_factor: bool,
    },
    /// Makes users of a file with a line each: name, bcrypt or Argon2id hash, and where it is not --role his role
    Import {
        /// The file; - for standard input
        file: PathBuf,
        /// What they may do where the line does not say
        #[arg(long, default_value = "viewer")]
        role: Role,
    },
    /// Makes a new key that access tokens are signed with; those that are out hold until they end
    RotateSigningKey {
        /// Throws the old keys away at once, and all access tokens with them: where a key is known to somebody else
        #[arg(long)]
        throw_away: bool,
    },
}

#[derive(Serialize)]
struct LinkDocument<'a> {
    user: &'a User,
    link: &'a str,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct ImportedDocument {
    imported: u64,
}

impl Command for Users {
    const NAME: &'static str = "users";
    const ABOUT: &'static str = "Makes, shows and changes users: who may log in to the API";
    type Arguments = UsersArguments;

    async fn run(arguments: UsersArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Create { name, role, password_stdin } => {
                let engine = app.engine().await?;
                let password = if password_stdin {
                    let password = read_password().await?;
                    passwords::check(&password, &name).map_err(CliError::usage)?;
                    Some(engine.identity.passwords.hash(&password).await?)
                } else {
                    None
                };
                let has_password = password.is_some();
                let user = create(&engine, app.tenant(), name, role.role(), password).await?;
                if has_password {
                    tell(app, &user)
                } else {
                    link(app, &engine, &user, Links::INVITATION).await
                }
            }
            Action::Invite { name, role } => {
                let engine = app.engine().await?;
                let user = create(&engine, app.tenant(), name, role.role(), None).await?;
                link(app, &engine, &user, Links::INVITATION).await
            }
            Action::List => list(app, &app.existing_engine().await?).await,
            Action::Show { name } => tell(app, &find(app, &app.existing_engine().await?, &name).await?),
            Action::Disable { name } => disable(app, &name, true).await,
            Action::Enable { name } => disable(app, &name, false).await,
            Action::Remove { name } => {
                let engine = app.existing_engine().await?;
                let user = find(app, &engine, &name).await?;
                engine.identity.users.remove(&user.tenant, &user.id, true).await?;
                record(&engine, &user, "removed").await;
                app.output().line(format_args!("{name} is removed"))?;
                app.output().document(&user)
            }
            Action::Reset { name, remove_factor } => {
                let engine = app.existing_engine().await?;
                let user = find(app, &engine, &name).await?;
                if remove_factor {
                    engine.identity.factors.remove(&user.tenant, &user.id).await?;
                    record(&engine, &user, "second factor removed").await;
                }
                record(&engine, &user, "link").await;
                link(app, &engine, &user, Links::RESET).await
            }
            Action::Import { file, role } => import(app, file, role).await,
            Action::RotateSigningKey { throw_away } => {
                let engine = app.existing_engine().await?;
                engine.identity.tokens.rotate_keys(throw_away).await?;
                let entry = Entry::new(Act::KeyringRotated).by(Actor::CommandLine).to("signing key");
                engine.audit.record(entry.with("thrown_away", throw_away)).await;
                app.output().line("there is a new signing key")?;
                app.output().document(&engine.identity.tokens.public_keys().await?)
            }
        }
    }
}

async fn create(
    engine: &Engine,
    tenant: &TenantId,
    name: UserName,
    role: Role,
    password: Option<String>,
) -> Result<User, CliError> {
    let created_by = "command line".to_owned();
    let new = NewUser { tenant: tenant.clone(), name, role, password, created_by };
    let user = engine.identity.users.create(new).await?;
    record(engine, &user, "created").await;
    Ok(user)
}

async fn find(app: &App, engine: &Engine, name: &UserName) -> Result<User, CliError> {
    let user = engine.identity.users.named(app.tenant(), name).await?;
    user.ok_or_else(|| {
        CliError::not_found(format_args!("tenant {} has no user {name}", app.tenant()))
            .hint(format_args!("`{} users list` shows those that there are", app.name()))
    })
}

async fn record(engine: &Engine, user: &User, change: &str) {
    let entry = Entry::new(Act::UserChanged).by(Actor::CommandLine).of(&user.tenant).to(user.id.clone());
    engine.audit.record(entry.with("change", change).with("name", &user.name).with("role", user.role)).await;
}

async fn disable(app: &App, name: &UserName, disabled: bool) -> Result<(), CliError> {
    let engine = app.existing_engine().await?;
    let user = find(app, &engine, name).await?;
    let changed = engine.identity.users.set_disabled(&user.tenant, &user.id, disabled, true).await?;
    record(&engine, &user, if disabled { "disabled" } else { "enabled" }).await;
    tell(app, &changed.unwrap_or(user))
}

async fn link(app: &App, engine: &Engine, user: &User, life: std::time::Duration) -> Result<(), CliError> {
    let (link, expires_at) = engine.identity.logins.links().make(user, life).await?;
    app.output().line(link.reveal())?;
    app.output().note(format_args!(
        "{} sets a password with it until {expires_at}: POST /v1/auth/link {{\"link\": …, \"new_password\": …}}",
        user.name
    ));
    app.output().document(&LinkDocument { user, link: link.reveal(), expires_at })
}

async fn list(app: &App, engine: &Engine) -> Result<(), CliError> {
    const HEADER: [&str; 6] = ["NAME", "ROLE", "STATE", "SECOND FACTOR", "CREATED", "ID"];
    let output = app.output();
    let mut documents = output.list("users")?;
    let (mut after, mut any) = (None, false);
    loop {
        let page = engine.identity.users.list(app.tenant(), after.as_deref(), 200).await?;
        let mut rows = Vec::new();
        for user in &page.items {
            documents.item(user)?;
            let second_factor = if user.second_factor { "yes" } else { "no" };
            let cells: [&dyn ToString; 6] =
                [&user.name, &user.role, &state(user), &second_factor, &user.created_at, &user.id];
            rows.push(cells.map(|cell| cell.to_string()).to_vec());
        }
        if any {
            output.more_rows(&HEADER, &rows)?;
        } else if !rows.is_empty() {
            output.table(&HEADER, &rows)?;
        }
        any |= !rows.is_empty();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !any {
        output.line(format_args!(
            "tenant {} has no users: `users create NAME --admin` makes one",
            app.tenant()
        ))?;
    }
    documents.end(false)
}

fn state(user: &User) -> &'static str {
    match (user.disabled, user.has_password) {
        (true, _) => "disabled",
        (false, true) => "active",
        (false, false) => "invited",
    }
}

fn tell(app: &App, user: &User) -> Result<(), CliError> {
    let line = |label: &str, text: String| app.output().line(format_args!("{label:<15} {text}"));
    line("name", user.name.to_string())?;
    line("id", user.id.clone())?;
    line("tenant", user.tenant.to_string())?;
    line("role", user.role.to_string())?;
    line("state", state(user).to_owned())?;
    line("second factor", if user.second_factor { "yes" } else { "no" }.to_owned())?;
    line("created", format!("{} by {}", user.created_at, user.created_by))?;
    app.output().document(user)
}

/// Lines of a name, a hash and perhaps a role; all are read before the first user is made.
async fn import(app: &App, file: PathBuf, role: Role) -> Result<(), CliError> {
    let text = blocking(move || read(&file)).await??;
    let mut users = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong =
            |problem: &dyn std::fmt::Display| CliError::usage(format_args!("line {number}: {problem}"));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(name), Some(hash)) = (words.next(), words.next()) else {
            return Err(wrong(&"write a name and a hash, with a space between"));
        };
        let name: UserName = name.parse().map_err(|error| wrong(&error))?;
        let hash = Passwords::import(hash).map_err(|error| wrong(&error))?;
        let role = words.next().map_or(Ok(role), str::parse).map_err(|error| wrong(&error))?;
        users.push((name, hash, role));
    }
    let engine = app.engine().await?;
    let mut imported = 0;
    for (name, hash, role) in users {
        match create(&engine, app.tenant(), name, role, Some(hash)).await {
            Ok(_) => imported += 1,
            Err(error) => {
                app.output().note(format_args!("{imported} users were made before this"));
                return Err(error);
            }
        }
    }
    app.output()
        .line(format_args!("{imported} users were made; their hashes are replaced when they log in"))?;
    app.output().document(&ImportedDocument { imported })
}

fn read(file: &std::path::Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
    };
    match read {
        Ok(bytes) if bytes as u64 == MOST_BYTES => Err(CliError::usage("the file is too long: split it")),
        Ok(_) => Ok(text),
        Err(error) => Err(CliError::usage(format_args!("{} can't be read: {error}", file.display()))),
    }
}

async fn read_password() -> Result<Password, CliError> {
    let line = blocking(|| {
        let mut line = String::new();
        let most = passwords::MOST_BYTES as u64 + 3;
        std::io::BufRead::read_line(&mut std::io::stdin().lock().take(most), &mut line).map(|_| line)
    });
    let line =
        line.await?.map_err(|error| CliError::usage(format_args!("no password can be read: {error}")))?;
    Ok(Password::from(line.trim_end_matches(['\r', '\n']).to_owned()))
}

impl From<UserError> for CliError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Store(error) => error.into(),
            other => Self::usage(other),
        }
    }
}

impl From<PasswordError> for CliError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy { .. } => Self::unavailable(error),
            PasswordError::Damaged | PasswordError::Broken(_) => Self::new(ErrorKind::Bug, error),
        }
    }
}

impl From<TokenError> for CliError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Keyring(error) => error.into(),
            TokenError::Store(error) => error.into(),
            TokenError::Broken(_) => Self::new(ErrorKind::Damaged, error),
        }
    }
}
