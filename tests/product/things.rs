//! One of each thing that the API names by an id in a path, made for a tenant.

use std::{sync::Arc, time::Duration};

use object_store::prefix::PrefixStore;
use presswork::{
    artifact::{ArtifactOptions, key},
    domain::{
        ArtifactPointer, JobId, KindName, NewJob, Output, Payload, Reason, TenantId, Verdict, WorkerId,
    },
    queue::Ask,
    store::Expect,
};
use presswork_jobs::book::{Metadata, ProjectWriter};
use reqwest::Method;
use serde_json::{Value, json};

use crate::served::{Caller, Served};

/// A thing, which may be there in several states.
pub(crate) struct Thing {
    /// Who owns it: he may do everything with it.
    pub(crate) owner: Caller,
    /// Values for the parameters of its path: those that name it, and others of the same length that name nothing.
    pub(crate) names: Vec<(Vec<String>, Vec<String>)>,
    /// Where its owner sees how it is.
    pub(crate) shown: Vec<String>,
}

impl Thing {
    fn new(owner: Caller, named: &[&str], unnamed: &[&str], shown: &[&str]) -> Self {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Self { owner, names: vec![(texts(named), texts(unnamed))], shown: texts(shown) }
    }
}

/// A thing with such a path, of this tenant.
pub(crate) async fn make(served: &Served, path: &str, tenant: &str) -> Thing {
    let owner = served.key_without(tenant, &[]).await;
    match path {
        "/v1/jobs/{job}" => {
            let mut thing = Thing { owner, names: Vec::new(), shown: Vec::new() };
            for state in ["completed", "dead", "running", "waiting"] {
                let (job, _) = job(served, tenant, state).await;
                thing.shown.push(format!("/v1/jobs/{job}"));
                thing.names.push((vec![job.to_string()], vec![new_id(served).to_string()]));
            }
            thing
        }
        "/v1/jobs/{job}/artifacts/{name}" => {
            let (job, pointer) = job(served, tenant, "completed").await;
            assert_eq!(pointer.unwrap().name.as_str(), "a.txt");
            let (job, other) = (job.to_string(), new_id(served).to_string());
            let shown = format!("/v1/jobs/{job}/artifacts");
            let mut thing = Thing::new(owner, &[&job, "a.txt"], &[&other, "a.txt"], &[&shown]);
            thing.shown.push(format!("{shown}/a.txt"));
            thing.names.push((thing.names[0].0.clone(), vec![job, "b.txt".to_owned()]));
            thing
        }
        "/v1/batches/{batch}" => {
            let made = ask(served, &owner, Method::POST, "/v1/batches", json!({ "size": 3 })).await;
            let id = text(&made["id"]);
            let other = format!("batch_{}", new_id(served).to_string().trim_start_matches("job_"));
            Thing::new(owner, &[&id], &[&other], &[&format!("/v1/batches/{id}")])
        }
        "/v1/keys/{key}" => {
            let new = json!({ "name": "one", "permissions": ["jobs:read"] });
            let made = ask(served, &owner, Method::POST, "/v1/keys", new).await;
            let id = text(&made["key"]["id"]);
            Thing::new(owner, &[&id], &[&unlike(&id)], &[&format!("/v1/keys/{id}")])
        }
        "/v1/users/{user}" => {
            let id = served.user(tenant, "jo").await.id;
            Thing::new(owner, &[&id], &[&unlike(&id)], &[&format!("/v1/users/{id}")])
        }
        "/v1/users/{user}/sessions/{session}" | "/v1/sessions/{session}" => {
            let user = served.user(tenant, "jo").await;
            let (browser, _) = served.browser(&user).await;
            let (_, session) = served.browser(&user).await;
            let shown = format!("/v1/users/{}/sessions", user.id);
            if path == "/v1/sessions/{session}" {
                return Thing::new(browser, &[&session], &[&unlike(&session)], &[&shown]);
            }
            let nobody = [&*unlike(&user.id), &*unlike(&session)];
            let mut thing = Thing::new(owner, &[&user.id, &session], &nobody, &[&shown]);
            thing.names.push((thing.names[0].0.clone(), vec![user.id, unlike(&session)]));
            thing
        }
        "/v1/users/{user}/accounts/{account}" | "/v1/auth/accounts/{account}" => {
            let user = served.user(tenant, "jo").await;
            let account = account(served, tenant, &user.id).await;
            let shown = format!("/v1/users/{}/accounts", user.id);
            if path == "/v1/auth/accounts/{account}" {
                let (browser, _) = served.browser(&user).await;
                return Thing::new(browser, &[&account], &[&unlike(&account)], &[&shown]);
            }
            let nobody = [&*unlike(&user.id), &*unlike(&account)];
            Thing::new(owner, &[&user.id, &account], &nobody, &[&shown])
        }
        "/v1/secrets/{name}" => {
            named(served, owner, "/v1/secrets/mine-1", "mine-2", json!({ "value": "hers" })).await
        }
        "/v1/schedules/{schedule}" => {
            named(served, owner, "/v1/schedules/mine-1", "mine-2", new_schedule("0 5 * * *")).await
        }
        "/v1/limits/{resource}" => {
            let thing = named(served, owner, "/v1/limits/mine-1", "mine-2", json!({ "rate": "7/d" })).await;
            Thing { shown: vec!["/v1/limits".to_owned()], ..thing }
        }
        "/v1/files/{name}" => {
            let request = served.request(Method::PUT, "/v1/files/mine-1").body("what she wrote");
            assert_eq!(owner.signs(request).send().await.unwrap().status(), 201);
            Thing::new(owner, &["mine-1"], &["mine-2"], &["/v1/files/mine-1", "/v1/files"])
        }
        "/v1/projects/{project}" => {
            book(served, tenant).await;
            Thing::new(owner, &["novel-1"], &["novel-2"], &["/v1/projects/novel-1", "/v1/projects"])
        }
        "/v1/projects/{project}/chapters/{number}" => {
            book(served, tenant).await;
            Thing::new(owner, &["novel-1", "1"], &["novel-2", "1"], &["/v1/projects/novel-1/chapters/1"])
        }
        "/v1/projects/{project}/characters/{id}" => {
            let (all, hers) = ("/v1/projects/novel-1/characters", json!({ "name": "Emma" }));
            ask(served, &owner, Method::PUT, &format!("{all}/emma"), hers).await;
            let mut thing =
                Thing::new(owner, &["novel-1", "emma"], &["novel-2", "emma"], &[all, &format!("{all}/emma")]);
            thing.names.push((thing.names[0].0.clone(), vec!["novel-1".to_owned(), "enid".to_owned()]));
            thing
        }
        // The one that the settings name, of a tenant that they name.
        "/v1/auth/oidc/{provider}" => {
            let (owner, _) = served.browser(&served.user("corp", tenant).await).await;
            Thing::new(owner, &["her-provider"], &["its-provider"], &[])
        }
        // They belong to who runs the installation.
        "/v1/tenants/{tenant}" => {
            ask(served, &owner, Method::PUT, &format!("/v1/tenants/{tenant}/limits"), json!({ "weight": 3 }))
                .await;
            Thing::new(owner, &[tenant], &[&unlike(tenant)], &[&format!("/v1/tenants/{tenant}")])
        }
        "/v1/kinds/{kind}" => Thing::new(owner, &["export"], &["exporx"], &["/v1/kinds/export/limits"]),
        path => panic!("{path}: say here how one of these is made, so that it is walked"),
    }
}

/// An account at a provider that is tied to a user, as a login there leaves it.
async fn account(served: &Served, tenant: &str, user: &str) -> String {
    let (id, records) = ("5a".repeat(32), &served.engine.records);
    let link = json!({ "user": user }).to_string();
    let tie = json!({ "provider": "her-provider", "since": "2026-11-22T00:00:00Z" }).to_string();
    for (collection, key, value) in
        [("oidc_links", format!("{tenant}/{id}"), link), ("oidc_ties", format!("{tenant}/{user}/{id}"), tie)]
    {
        records.put(collection, &key, value.into(), Expect::Anything, None).await.unwrap();
    }
    id
}

/// What an operation wants in its body, so that it comes as far as looking for the thing.
pub(crate) fn body(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("PUT", "/v1/secrets/{name}") => json!({ "value": "theirs" }),
        ("PUT", "/v1/schedules/{schedule}") => new_schedule("0 6 * * *"),
        ("PUT", "/v1/limits/{resource}") => json!({ "rate": "5/d" }),
        ("PUT", "/v1/projects/{project}/characters/{id}") => json!({ "name": "Theirs" }),
        ("POST", "/v1/projects/{project}/characters") => json!([{ "id": "emma", "name": "Theirs" }]),
        ("PUT", "/v1/tenants/{tenant}/sealing") => json!({ "seal": true }),
        ("PUT", "/v1/kinds/{kind}/limits") => json!({ "max_running": 3 }),
        ("PATCH", "/v1/users/{user}") => json!({ "disabled": true }),
        _ => json!({}),
    }
}

fn new_schedule(cron: &str) -> Value {
    json!({ "kind": "export", "payload": { "project": "novel", "format": "text" }, "cron": cron })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// An id of the same form that nobody has.
fn unlike(id: &str) -> String {
    let end = if id.ends_with('0') { "1" } else { "0" };
    format!("{}{end}", &id[..id.len() - 1])
}

/// Does what must succeed.
pub(crate) async fn ask(
    served: &Served,
    caller: &Caller,
    method: Method,
    path: &str,
    content: Value,
) -> Value {
    let request = served.request(method, path).header("content-type", "application/json");
    let answer = caller.signs(request.body(content.to_string())).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {body}");
    serde_json::from_str(&body).unwrap()
}

/// What is put under a name of one's own choice.
async fn named(served: &Served, owner: Caller, path: &str, other: &str, content: Value) -> Thing {
    ask(served, &owner, Method::PUT, path, content).await;
    let name = path.rsplit('/').next().unwrap();
    Thing::new(owner, &[name], &[other], &[path])
}

fn new_id(served: &Served) -> JobId {
    JobId::new(served.engine.clock.now(), &*served.engine.random)
}

/// A job of a kind of its own, so that nobody else claims it, brought to a state; completed it has made an artifact.
async fn job(served: &Served, tenant: &str, state: &str) -> (JobId, Option<ArtifactPointer>) {
    let (engine, tenant): (_, TenantId) = (&served.engine, tenant.parse().unwrap());
    let (id, kind): (_, KindName) = (new_id(served), format!("{state}-{tenant}").parse().unwrap());
    let payload = Payload { version: 1, bytes: b"{\"text\":\"hers\"}".as_slice().into() };
    let job = NewJob::new(id, tenant.clone(), kind.clone(), payload);
    engine.queue.enqueue(vec![job]).await.unwrap().remove(0).unwrap();
    if state == "waiting" {
        return (id, None);
    }
    let ask = Ask { kinds: vec![kind], most: 1, lease: Duration::from_secs(600) };
    let lease = engine.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0).lease;
    let (verdict, pointer) = match state {
        "running" => return (id, None),
        "dead" => (Verdict::Dead(Reason::new("hers")), None),
        _ => {
            let (name, options) = ("a.txt".parse().unwrap(), ArtifactOptions::default());
            let mut writer = engine.artifacts.create(&tenant, id, lease.epoch, &name, options).await.unwrap();
            writer.write(b"what she wrote").await.unwrap();
            let pointer = writer.finish().await.unwrap();
            let output = Output { result: json!("hers"), artifacts: vec![pointer.clone()] };
            (Verdict::Done(output), Some(pointer))
        }
    };
    engine.queue.settle(vec![(lease, verdict)]).await.unwrap();
    (id, pointer)
}

/// A book of one chapter, `novel-1`.
async fn book(served: &Served, tenant: &str) {
    let folder = key([tenant, "projects", "novel-1"]);
    let storage = Arc::new(PrefixStore::new(served.engine.storage.clone(), folder));
    let mut writer = ProjectWriter::begin(storage, "r1").unwrap();
    writer.chapter("one", "One", "# One\n\nWhat she wrote.\n".to_owned()).await.unwrap();
    let metadata = Metadata { title: "Hers".to_owned(), language: "en".to_owned(), ..Metadata::default() };
    writer.publish(metadata).await.unwrap();
}
