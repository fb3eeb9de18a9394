//! How many files a process may have open: each connection is one. Must not know: who connects.

use std::io;

/// Sees to it that this process may have so many files open, where its system lets it raise its own limit.
///
/// # Errors
/// Where it may not: the text says what to do.
#[cfg(unix)]
pub fn allow_files(wanted: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let most = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    if raised.is_ok() && most >= wanted {
        return Ok(());
    }
    let problem = format!(
        "this process may have {most} files open, and {wanted} may be needed: raise the limit (`ulimit -n {wanted}`, \
        `LimitNOFILE={wanted}` of systemd)"
    );
    Err(io::Error::other(problem))
}

/// The system sets no such limit.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn allow_files(_: u64) -> io::Result<()> {
    Ok(())
}
