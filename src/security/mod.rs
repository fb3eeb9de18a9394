//! Secrets and what they protect. Owns: [`seal`] (the format of what is sealed), [`Keyring`] (master keys, and the tenants'
//! data keys under them), [`SealingQueue`] (payloads are sealed on their way in). Must not know: jobs' handlers, the command
//! line, any engine of queue or store.

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod alerts;
#[cfg(feature = "server")]
pub mod api_keys;
#[cfg(feature = "server")]
pub mod audit;
mod keyring;
mod master;
#[cfg(feature = "server")]
pub mod outgoing;
mod payload;
pub mod seal;
pub(crate) mod text;

pub use keyring::{DataKeyFacts, Health, Keyring, KeyringError, Rewrapped, TenantFacts};
pub use master::{MasterKeyError, MasterKeyId, MasterKeys, MasterSource};
pub use payload::{PayloadSealError, SealingQueue, sealed_with, unseal};
