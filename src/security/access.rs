//! Who may do what: permissions, the roles that bundle them, and [`Principal`], the one who calls. Owns: the one table from roles
//! to permissions, and the one question [`Grants::allow`]. Must not know: HTTP, how anybody proved who he is.

mod permission;
mod principal;
mod role;

pub use permission::{Grant, GrantError, Grants, PERMISSIONS, Permission};
pub use principal::{Principal, Subject};
pub use role::{Role, RoleError};
