//! `/v1/audit`: who sees what of the log, and whether it is whole; and alerts, posted to a receiver that checks them.

use std::{path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use presswork::{
    config::MasterKeySetting,
    domain::{TenantId, Timestamp},
    security::{
        alerts::{SIGNATURE_HEADER, SecretUrl, WebhookSecret, sign},
        audit::{Action, Entry, Outcome},
    },
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::world::World;

const MASTER: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

async fn world() -> World {
    World::start_with(|settings| {
        settings.master_key = Some(MasterKeySetting::Given(MASTER.parse().unwrap()));
    })
    .await
}

#[tokio::test]
async fn a_tenant_reads_what_was_about_it_and_root_reads_all() {
    let world = world().await;
    let acme = world.key("acme", &["audit:read"]).await;
    let root = world.key("home", &["audit:read", "tenants:manage"]).await;
    let other = world.key("acme", &["jobs:read"]).await;
    for n in 0..3 {
        for of in ["acme", "zeta"] {
            let entry =
                Entry::new(Action::Login).of(&tenant(of)).to(format!("{of}-{n}")).ended(Outcome::Refused);
            world.engine.audit.record(entry).await;
        }
    }
    let (status, page) = world.get("/v1/audit?action=auth.&limit=2", &acme).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&page["items"][0]["target"], &page["items"][0]["outcome"]),
        (&"acme-2".into(), &"refused".into())
    );
    let next = page["next"].as_str().unwrap();
    let (_, rest) = world.get(&format!("/v1/audit?action=auth.&limit=2&cursor={next}"), &acme).await;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null), "{rest}");
    assert_eq!(rest["items"][0]["target"], "acme-0");

    // Another's tenant has no entries, as one that is not there has none.
    for asked in ["zeta", "nobody"] {
        let (status, page) = world.get(&format!("/v1/audit?tenant={asked}"), &acme).await;
        assert_eq!((status, page.to_string().as_str()), (StatusCode::OK, "{\"items\":[],\"next\":null}"));
    }
    let (_, page) = world.get("/v1/audit?tenant=zeta&text=ZETA-1", &root).await;
    assert_eq!(page["items"][0]["target"], "zeta-1", "{page}");
    let (_, page) = world.get("/v1/audit?action=auth.login", &root).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 6);

    let (status, _) = world.get("/v1/audit", &other).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = world.get("/v1/audit?cursor=nonsense", &acme).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, page) = world.get("/v1/audit?action=access.denied", &acme).await;
    assert_eq!(page["items"][0]["target"], "audit:read", "the refusal itself is in the log: {page}");
}

#[tokio::test]
async fn root_has_the_log_checked_and_summed_up_and_an_edit_is_found() {
    let world = world().await;
    let acme = world.key("acme", &["audit:read"]).await;
    let root = world.key("home", &["audit:read", "tenants:manage"]).await;
    for _ in 0..3 {
        let entry = Entry::new(Action::Login).of(&tenant("zeta")).to("ann").ended(Outcome::Refused);
        world.engine.audit.record(entry).await;
    }
    world.engine.audit.settle(Duration::from_secs(20)).await;
    let (status, verdict) = world.get("/v1/audit/verify", &root).await;
    assert_eq!((status, &verdict["whole"]), (StatusCode::OK, &true.into()), "{verdict}");
    assert!(verdict["signed_until"].as_u64().unwrap() >= 4, "{verdict}");
    let (status, _) = world.get("/v1/audit/verify", &acme).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let (_, report) = world.get("/v1/audit/report", &root).await;
    assert_eq!((&report["failed_logins"]["ann"], &report["complete"]), (&3.into(), &true.into()), "{report}");
    let (_, report) = world.get("/v1/audit/report", &acme).await;
    assert_eq!(report["failed_logins"], serde_json::json!({}), "of zeta acme learns nothing: {report}");

    let (_, path) = world.engine.audit.folder().files().unwrap().remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"ann\"", "\"bob\"", 1)).unwrap();
    let (_, verdict) = world.get("/v1/audit/verify", &root).await;
    assert_eq!((&verdict["whole"], &verdict["breaks"]), (&false.into(), &1.into()), "{verdict}");
    let edited = text.lines().position(|line| line.contains("\"ann\"")).unwrap() + 1;
    assert_eq!(verdict["findings"][0]["line"], edited);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_can_not_be_written_no_administrator_changes_anything_and_all_see_why() {
    let world = world().await;
    let rights = ["status:read", "tenants:manage", "keys:manage", "jobs:create", "audit:read"];
    let root = world.key("home", &rights).await;
    let made = |name: &str| serde_json::json!({ "name": name, "permissions": ["jobs:create"] });
    let (status, leaked) = world.post("/v1/keys", &root, &made("before")).await;
    assert_eq!(status, StatusCode::CREATED, "{leaked}");
    let security = async || world.get("/v1/status/security", &root).await.1;
    let before = security().await;
    assert_eq!((&before["audit_healthy"], &before["audit"]["problem"]), (&true.into(), &Value::Null));

    // No disk any more, even for who may write everywhere.
    let folder = world.engine.audit.folder().path().to_owned();
    let aside = folder.with_extension("aside");
    std::fs::write(&aside, "no folder").unwrap();
    exchange(&folder, &aside);
    // The act under which it breaks is done: that it is broken shows with its entry.
    assert_eq!(world.post("/v1/keys", &root, &made("at")).await.0, StatusCode::CREATED);
    let (status, problem) = world.post("/v1/keys", &root, &made("after")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the audit log can't be written"), "{problem}");
    let now = security().await;
    assert_eq!(now["audit_healthy"], false, "{now}");
    assert!(now["audit"]["problem"].is_string(), "{now}");
    let acme = world.key("acme", &["status:read"]).await;
    let theirs = world.get("/v1/status/security", &acme).await.1;
    assert_eq!((&theirs["audit_healthy"], &theirs["audit"]), (&false.into(), &Value::Null), "{theirs}");
    // Work goes on, and what has leaked is taken away.
    let job = serde_json::json!({ "kind": "echo", "payload": { "text": "hello" } });
    assert_eq!(world.post("/v1/jobs", &root, &job).await.0, StatusCode::CREATED);
    let leaked = format!("/v1/keys/{}", leaked["key"]["id"].as_str().unwrap());
    let revoked = world.request(Method::DELETE, &leaked, &root).send().await.unwrap();
    assert!(revoked.status().is_success(), "{revoked:?}");

    exchange(&folder, &aside);
    world.engine.audit.settle(Duration::from_secs(20)).await;
    assert_eq!(world.post("/v1/keys", &root, &made("later")).await.0, StatusCode::CREATED);
    let (_, verdict) = world.get("/v1/audit/verify", &root).await;
    assert_eq!(verdict["whole"], true, "{verdict}");
    for (action, count) in [("key.created", 5), ("key.revoked", 1)] {
        let (_, page) = world.get(&format!("/v1/audit?action={action}"), &root).await;
        let found = page["items"].as_array().unwrap().len();
        assert_eq!(found, count, "what was done meanwhile is in the log, too: {page}");
    }
    let now = security().await;
    assert_eq!(
        (&now["audit_healthy"], &now["audit"]["checked_whole"]),
        (&true.into(), &true.into()),
        "{now}"
    );
}

/// Each gets the other's name at once: whoever looks between two renames would make a new folder.
fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// What a receiver was sent: the signature, the alert's id, the body.
type Posted = (String, String, Vec<u8>);

/// A receiver of alerts, which takes none before the `refused`th.
async fn receiver(refused: usize) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<Posted>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, posted) = mpsc::unbounded_channel();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (sender, count) = (sender.clone(), count.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (sender, count) = (sender.clone(), count.clone());
                    async move {
                        let text = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
                        let (signature, id) = (text(SIGNATURE_HEADER), text("presswork-alert"));
                        let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                        sender.send((signature, id, body)).unwrap();
                        let taken = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= refused;
                        let status = if taken { 204 } else { 503 };
                        Response::builder().status(status).body(Empty::<bytes::Bytes>::new())
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, posted)
}

#[tokio::test]
async fn an_alert_is_posted_signed_and_again_until_it_is_taken() {
    let (address, mut posted) = receiver(1).await;
    let secret: WebhookSecret = "a-secret-of-both-sides".parse().unwrap();
    let world = World::start_with(|settings| {
        settings.alerts.webhook = Some(SecretUrl::from(format!("http://{address}/hook")));
        settings.alerts.webhook_secret = Some(secret.clone());
        settings.outgoing.allow.insert(address.to_string().parse().unwrap());
    })
    .await;
    // Refused credentials, as the API sees them, are counted too; here a refresh token that was used twice.
    let entry = Entry::new(Action::RefreshReuse).ended(Outcome::Refused).to("user:7").of(&tenant("acme"));
    world.engine.audit.record(entry).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (signature, id, body) = posted.recv().await.unwrap();
        let seconds: i64 = signature[2..].split_once(',').unwrap().0.parse().unwrap();
        assert_eq!(signature, sign(&secret, Timestamp::from_millis(seconds * 1_000), &body));
        let forged = [body.as_slice(), b" "].concat();
        assert_ne!(signature, sign(&secret, Timestamp::from_millis(seconds * 1_000), &forged));
        let alert: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&alert["rule"], &alert["severity"]),
            (&"refresh-reuse".into(), &"critical".into()),
            "{alert}"
        );
        assert_eq!(
            (&alert["subject"], &alert["tenant"], &alert["id"]),
            (&"user:7".into(), &"acme".into(), &id.clone().into())
        );
        ids.push(id);
    }
    assert_eq!(ids[0], ids[1], "the same alert, tried again");
    world.engine.audit.settle(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_webhook_within_the_house_is_not_called_unless_it_is_allowed() {
    let (address, mut posted) = receiver(0).await;
    let world = World::start_with(|settings| {
        settings.alerts.webhook = Some(SecretUrl::from(format!("http://{address}/hook")));
        settings.alerts.webhook_secret = Some("a-secret-of-both-sides".parse().unwrap());
    })
    .await;
    let mut heard = world.engine.audit.alerts().subscribe();
    world.engine.audit.record(Entry::new(Action::RefreshReuse).to("user:7")).await;
    assert_eq!(heard.recv().await.unwrap().subject, "user:7", "apps hear it all the same");
    world.engine.audit.settle(Duration::from_secs(20)).await;
    assert!(posted.try_recv().is_err());
}

/// Guessing passwords of one address is told within the request that reaches the threshold.
#[tokio::test]
async fn refused_credentials_of_one_address_raise_an_alert() {
    let world = world().await;
    let mut heard = world.engine.audit.alerts().subscribe();
    let entry = || Entry::new(Action::CredentialRefused).ended(Outcome::Refused);
    for _ in 0..20 {
        let from = Entry { address: Some("203.0.113.9".parse().unwrap()), ..entry() };
        world.engine.audit.record(from).await;
    }
    assert_eq!(heard.recv().await.unwrap().subject, "203.0.113.9");
    // The same through the door itself: a token that nobody gave out.
    let response = world.request(Method::GET, "/v1/jobs", "eyJhbGciOiJub25lIn0.e30.").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    world.engine.audit.settle(Duration::from_secs(20)).await;
    let (_, path) = world.engine.audit.folder().files().unwrap().remove(0);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("auth.credential_refused") && !text.contains("eyJhbGci"), "{text}");
}
