//! Secrets and what they protect. Owns: [`seal`] (the format of what is sealed), [`Keyring`] (master keys, and the tenants'
//! data keys under them), [`SealingQueue`] (payloads are sealed on their way in). Must not know: jobs' handlers, the command
//! line, any engine of queue or store.

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod api_keys;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod identity;
mod keyring;
#[cfg(feature = "server")]
pub mod login;
mod master;
#[cfg(feature = "server")]
pub(crate) mod opaque;
#[cfg(feature = "server")]
pub mod passwords;
mod payload;
pub mod seal;
pub(crate) mod text;
#[cfg(feature = "server")]
pub mod tokens;
#[cfg(feature = "server")]
pub mod totp;
#[cfg(feature = "server")]
pub mod users;

pub use keyring::{DataKeyFacts, Health, Keyring, KeyringError, Rewrapped, TenantFacts};
pub use master::{MasterKeyError, MasterKeyId, MasterKeys, MasterSource};
pub use payload::{PayloadSealError, SealingQueue, sealed_with, unseal};
