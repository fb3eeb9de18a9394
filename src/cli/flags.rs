//! The flags that every command has.

use std::path::PathBuf;

use clap::Args;

use super::choice::one_of;
use crate::{
    config::{ConfigError, Layer, LogFormat},
    domain::TenantId,
};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub(super) struct Flags {
    /// Where everything is kept [default: ./presswork-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The Redis that jobs are kept on, as in redis://host:6379 or redis+cluster://a,b; a password belongs in PRESSWORK_REDIS_URL [default: none, a file in the data directory]
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    /// The storage that artifacts are kept on, as in s3://bucket/prefix, gs://, az:// or file:///folder; credentials come from the environment (AWS_ACCESS_KEY_ID and so on) [default: objects in the data directory]
    #[arg(long, global = true, value_name = "URL")]
    storage_url: Option<String>,
    /// A file of master keys, one a line, the newest first; a key itself belongs in PRESSWORK_MASTER_KEY [default: one that is made in the data directory when it is needed; with a Redis none]
    #[arg(long, global = true, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Whose jobs [default: default]
    #[arg(long, global = true)]
    pub(super) tenant: Option<TenantId>,
    /// The settings' file [default: ./presswork.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or by module as in presswork=debug,warn [default: info for up, else warn]
    #[arg(long, global = true, value_name = "LEVELS")]
    log: Option<String>,
    /// How logs are written [default: json with --json, else text]
    #[arg(long, global = true, value_name = "FORMAT", value_parser = one_of::<LogFormat>(["text", "json"]))]
    log_format: Option<LogFormat>,
    /// Results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Flags {
    /// What they say of the settings.
    ///
    /// # Errors
    /// Where a URL is none. They are read here and not by clap, which shows what it refuses: a password may be in them.
    pub(super) fn layer(self) -> Result<Layer, ConfigError> {
        let redis_url = match self.redis_url {
            Some(text) => Some(text.parse().map_err(|problem| ConfigError::wrong("--redis-url", problem))?),
            None => None,
        };
        let storage_url = match self.storage_url {
            Some(text) => Some(text.parse().map_err(|problem| ConfigError::wrong("--storage-url", problem))?),
            None => None,
        };
        Ok(Layer {
            data_dir: self.data_dir,
            redis_url,
            storage_url,
            master_key_file: self.master_key_file,
            tenant: self.tenant,
            log: self.log,
            log_format: self.log_format,
            ..Layer::default()
        })
    }
}
