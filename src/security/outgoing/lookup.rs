//! From names to addresses that were checked. A connection goes to what [`Checked`] answers and to nothing else: between the
//! check and the connection nobody asks for the name again, so a name that changes its mind gains nothing.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

/// Asks for a name's addresses.
#[async_trait]
pub trait Lookup: Send + Sync + fmt::Debug {
    /// All addresses of a name.
    ///
    /// # Errors
    /// Where it has none, or nobody can say.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// Asks the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A name leads to an address that is not of the public internet.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not of the public internet")]
pub(super) struct Closed;

/// What the HTTP client asks for names.
pub(super) struct Checked {
    pub(super) lookup: Arc<dyn Lookup>,
    /// Whether every name that is asked for was allowed.
    pub(super) is_allowed: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, is_allowed) = (self.lookup.clone(), self.is_allowed);
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            // One closed address among open ones is how names are rebound: the whole name is refused.
            if !is_allowed && found.iter().any(|address| !is_public(*address)) {
                return Err(Closed.into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers another list each time.
    #[derive(Debug)]
    struct Rebinding(Mutex<Vec<Vec<&'static str>>>);

    #[async_trait]
    impl Lookup for Rebinding {
        async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
            let next = self.0.lock().unwrap().remove(0);
            Ok(next.into_iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    #[tokio::test]
    async fn what_is_handed_to_the_connection_is_what_was_checked_and_nothing_closed_is() {
        let answers = vec![
            vec!["1.1.1.1", "2606:4700:4700::1111"],
            vec!["127.0.0.1"],
            vec!["1.1.1.1", "169.254.169.254"],
            vec!["::ffff:10.0.0.1"],
        ];
        let lookup = Arc::new(Rebinding(Mutex::new(answers)));
        let checked = Checked { lookup: lookup.clone(), is_allowed: false };
        let name = || "rebind.example".parse::<Name>().unwrap();
        let open: Vec<SocketAddr> = checked.resolve(name()).await.unwrap().collect();
        assert_eq!(open, ["1.1.1.1:0".parse().unwrap(), "[2606:4700:4700::1111]:0".parse().unwrap()]);
        assert_eq!(lookup.0.lock().unwrap().len(), 3, "a name is asked for once");
        for _ in 0..3 {
            let Err(error) = checked.resolve(name()).await else { panic!("a closed address got through") };
            assert!(error.is::<Closed>());
        }
    }
}
