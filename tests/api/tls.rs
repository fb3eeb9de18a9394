//! TLS in process, with certificates that openssl has made.

use std::{fs, path::Path, process::Command};

use presswork::api::{Tls, TlsError};
use reqwest::{Certificate, Client};
use tokio::net::TcpStream;

use crate::{
    raw,
    servers::{process::until, redis::make_certificates},
    world::World,
};

async fn start(folder: &Path) -> World {
    let (cert, key) = (folder.join("server.crt"), folder.join("server.key"));
    World::start_with(|settings| {
        settings.api.tls_cert = Some(cert);
        settings.api.tls_key = Some(key);
    })
    .await
}

/// A client that trusts the authority in a folder, and no other.
fn client(folder: &Path) -> Client {
    let authority = Certificate::from_pem(&fs::read(folder.join("ca.crt")).unwrap()).unwrap();
    Client::builder().no_proxy().tls_certs_only([authority]).pool_max_idle_per_host(0).build().unwrap()
}

async fn status(client: &Client, world: &World) -> Option<u16> {
    let asked = client.get(format!("https://{}/openapi.json", world.address)).send().await;
    asked.ok().map(|response| response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_speaks_tls_and_nothing_else_and_nobody_holds_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let world = start(folder.path()).await;
    // Somebody who connects and says nothing.
    let silent = TcpStream::connect(world.address).await.unwrap();
    let client = client(folder.path());
    let response = client.get(format!("https://{}/openapi.json", world.address)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("strict-transport-security"));
    let plain = raw::send(world.address, b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1 200"), "{plain}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_1_2_and_1_3_with_http_1_1_and_nothing_older() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let world = start(folder.path()).await;
    let address = world.address.to_string();
    let shake = |version: &'static str| {
        let (address, authority) = (address.clone(), folder.path().join("ca.crt"));
        tokio::task::spawn_blocking(move || {
            let mut openssl = Command::new("openssl");
            openssl
                .args(["s_client", "-connect", &address, version, "-alpn", "h2,http/1.1", "-CAfile"])
                .arg(authority);
            let done = openssl.stdin(std::process::Stdio::null()).output().unwrap();
            String::from_utf8_lossy(&done.stdout).into_owned()
        })
    };
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = shake(version).await.unwrap();
        assert!(told.contains(name) && told.contains("ALPN protocol: http/1.1"), "{told}");
        assert!(told.contains("Verify return code: 0"), "{told}");
    }
    let told = shake("-tls1_1").await.unwrap();
    assert!(!told.contains("Verify return code: 0 (ok)") || told.contains("Cipher is (NONE)"), "{told}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_after_sighup_and_a_broken_one_never() {
    let (folder, next) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_certificates(folder.path());
    make_certificates(next.path());
    let world = start(folder.path()).await;
    let (old, new) = (client(folder.path()), client(next.path()));
    assert_eq!((status(&old, &world).await, status(&new, &world).await), (Some(200), None));
    let hang_up = || {
        let sent = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    for name in ["server.crt", "server.key"] {
        fs::copy(next.path().join(name), folder.path().join(name)).unwrap();
    }
    hang_up();
    until("the new certificate is shown", async || status(&new, &world).await == Some(200)).await;
    // Clients that have not been here: others may go on with the session that they have.
    assert_eq!(status(&client(folder.path()), &world).await, None);
    // A key that is not the certificate's is not taken.
    fs::write(folder.path().join("server.key"), "nothing").unwrap();
    hang_up();
    assert_eq!(status(&client(next.path()), &world).await, Some(200));
}

#[test]
fn what_is_no_pair_is_named() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_certificates(folder.path());
    make_certificates(other.path());
    let open = |cert: Option<&str>, key: Option<&Path>| {
        let settings = presswork::config::ApiSettings {
            tls_cert: cert.map(|name| folder.path().join(name)),
            tls_key: key.map(Path::to_owned),
            ..Default::default()
        };
        Tls::open(&settings)
    };
    let key = folder.path().join("server.key");
    assert!(open(Some("server.crt"), Some(&key)).unwrap().is_some());
    assert!(open(None, None).unwrap().is_none());
    assert!(matches!(open(Some("server.crt"), None), Err(TlsError::Half)));
    assert!(matches!(open(Some("nowhere"), Some(&key)), Err(TlsError::File { .. })));
    let foreign = other.path().join("server.key");
    assert!(matches!(open(Some("server.crt"), Some(&foreign)), Err(TlsError::Pair { .. })));
}
