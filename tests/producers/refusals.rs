//! What a hostile or mistaken producer sends is refused with the reason, changes nothing, and harms no neighbour.

use std::fs;

use presswork::{
    domain::{IdempotencyKey, KindName, NewJob, TenantId, TenantLimits},
    queue::Queue as _,
};
use serde_json::{Value as Json, json};

use crate::{
    servers::shared_redis,
    way::{Way, new_id, plain, uuid, written},
};

/// Strings that break programs (`tests/fixtures/names`), and those at the rules' edges.
fn naughty() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/names/blns.json");
    let mut all: Vec<String> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(all.len() > 400);
    for edge in [
        "acme", "a", "-a", "_a", "a-_0", "9", "con", "com1", "com10", "lpt0", "nul", "nul-", "A", "a\n",
        "a b", "é",
    ] {
        all.push(edge.to_owned());
    }
    for length in [64, 65, 200, 201] {
        all.push("x".repeat(length));
    }
    all.extend((0..=255_u8).map(|byte| format!("a{}", char::from(byte))));
    // A key given twice is a duplicate.
    all.sort();
    all.dedup();
    all
}

#[tokio::test]
async fn a_name_or_key_is_refused_where_the_domain_refuses_it() {
    let way = Way::over(shared_redis().await);
    for text in naughty() {
        let fits = [
            ("tenant", text.parse::<TenantId>().is_ok()),
            ("kind", text.parse::<KindName>().is_ok()),
            ("idempotency_key", text.parse::<IdempotencyKey>().is_ok()),
        ];
        for (field, fits) in fits {
            let mut job = json!({ "id": uuid(new_id()), "tenant": "acme", "kind": "export" });
            job[field] = json!(text);
            let answer = way.enqueue_one(job).await;
            let wanted = if fits { "accepted" } else { "refused" };
            assert_eq!(answer["status"], wanted, "{field} {text:?}: {answer}");
        }
    }
}

/// `(what is sent beside id, tenant and kind; a word of the reason)`
fn mistakes() -> Vec<(Json, &'static str)> {
    let many: Vec<String> = (1..=101).map(|n| presswork::domain::JobId::from_u128(n).to_string()).collect();
    vec![
        (json!({ "id": null }), "`id`"),
        (json!({ "id": "job_zzzzzzzzzzzzzzzzzzzzzzzzzz" }), "`id`"),
        (json!({ "id": "12345678-1234-1234-1234-12345678901" }), "`id`"),
        (json!({ "id": "123456781234123412341234567890123456" }), "`id`"),
        (json!({ "id": 5 }), "`id`"),
        (json!({ "tenant": null }), "`tenant`"),
        (json!({ "tenant": ["acme"] }), "`tenant`"),
        (json!({ "kind": {} }), "`kind`"),
        (json!({ "priorty": "high" }), "priorty"),
        (json!({ "priority": "highest" }), "`priority`"),
        (json!({ "priority": 1 }), "`priority`"),
        (json!({ "cost": 0 }), "`cost`"),
        (json!({ "cost": 1_000_001 }), "`cost`"),
        (json!({ "cost": 1.5 }), "`cost`"),
        (json!({ "cost": "1" }), "`cost`"),
        (json!({ "max_attempts": 0 }), "`max_attempts`"),
        (json!({ "max_attempts": 4_294_967_296_u64 }), "`max_attempts`"),
        (json!({ "version": -1 }), "`version`"),
        (json!({ "version": 65_536 }), "`version`"),
        (json!({ "delay": -0.1 }), "`delay`"),
        (json!({ "delay": 1e300 }), "`delay`"),
        (json!({ "run_at": "tomorrow" }), "`run_at`"),
        (json!({ "run_at": 1e10 }), "`run_at`"),
        (json!({ "run_at": 1, "delay": 1 }), "not both"),
        (json!({ "idempotency_key": false }), "`idempotency_key`"),
        (json!({ "unique": "novel" }), "`unique`"),
        (json!({ "unique": { "key": "novel" } }), "`window`"),
        (json!({ "unique": { "key": "novel", "window": "always" } }), "`window`"),
        (json!({ "unique": { "key": "", "window": "waiting" } }), "`key`"),
        (json!({ "unique": { "key": "k", "window": "waiting", "for": 1 } }), "for"),
        (json!({ "after": "job_00000000000000000000000000" }), "`after`"),
        (json!({ "after": [null] }), "`after`"),
        (json!({ "after": { "a": 1 } }), "`after`"),
        (json!({ "after": many }), "101 others"),
        (json!({ "after": ["job_00000000000000000000000001"] }), "is not there"),
        (json!({ "batch": "novel" }), "`batch`"),
        (json!({ "batch": "batch_00000000000000000000000001" }), "is not open"),
        (json!({ "idempotency_key": "x".repeat(70_000) }), "bytes besides its payload"),
    ]
}

#[tokio::test]
async fn a_mistake_is_told_and_does_not_harm_its_neighbours() {
    let way = Way::over(shared_redis().await);
    let mut good = 0;
    for (mistake, word) in mistakes() {
        let mut wrong = json!({ "id": uuid(new_id()), "tenant": "acme", "kind": "export" });
        wrong.as_object_mut().unwrap().extend(mistake.as_object().unwrap().clone());
        let jobs = [(written(&plain()), &b"{}"[..]), (wrong, b"{}"), (written(&plain()), b"{}")];
        let answers = way.enqueue(&jobs).await.unwrap();
        good += 2;
        let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["accepted", "refused", "accepted"], "{mistake}");
        assert_eq!(answers[1]["refusal"], "invalid");
        let reason = answers[1]["reason"].as_str().unwrap();
        assert!(reason.contains(word) && reason.len() < 300, "{mistake}: {reason}");
    }
    let stats = way.queue.stats(None).await.unwrap();
    assert_eq!((stats.lanes.len(), stats.count(presswork::domain::State::Waiting)), (1, good));
}

#[tokio::test]
async fn what_is_no_job_at_all_is_refused() {
    let way = Way::over(shared_redis().await);
    for text in ["", "null", "5", "\"job\"", "[]", "[{}]", "{", "{\"id\":}", &"[".repeat(5_000), "\0", "NaN"]
    {
        let answers = way.enqueue_text("acme", &[text.into(), b"{}".into()]).await.unwrap();
        assert_eq!(answers[0]["status"], "refused", "{text:?}");
    }
    let most = NewJob::MOST_PAYLOAD_BYTES;
    let job = || written(&plain());
    let (fits, large) = (vec![b' '; most], vec![b' '; most + 1]);
    let answers = way.enqueue(&[(job(), &fits), (job(), &large)]).await.unwrap();
    assert_eq!((&answers[0]["status"], &answers[1]["status"]), (&"accepted".into(), &"refused".into()));
    assert!(answers[1]["reason"].as_str().unwrap().contains("262145 bytes"));
}

#[tokio::test]
async fn a_call_out_of_shape_changes_nothing() {
    let way = Way::over(shared_redis().await);
    let job = written(&plain()).to_string().into_bytes();
    let refused = async |arguments: &[Vec<u8>], word: &str| {
        let error = way.enqueue_text("acme", arguments).await.unwrap_err().to_string();
        assert!(error.contains("PRESSWORK") && error.contains(word), "{error}");
    };
    refused(&[], "two arguments").await;
    refused(std::slice::from_ref(&job), "two arguments").await;
    refused(&vec![job.clone(); 2_002], "1 to 1000 jobs").await;
    let large = vec![b' '; NewJob::MOST_PAYLOAD_BYTES];
    let jobs: Vec<_> =
        (0..17).flat_map(|_| [written(&plain()).to_string().into_bytes(), large.clone()]).collect();
    refused(&jobs, "bytes together").await;
    assert!(way.queue.stats(None).await.unwrap().lanes.is_empty());
}

#[tokio::test]
async fn a_full_tenant_is_told_its_limit_and_when_to_try_again() {
    let way = Way::over(shared_redis().await);
    let tenant: TenantId = "acme".parse().unwrap();
    let limits =
        TenantLimits { max_waiting: Some(2), max_waiting_bytes: Some(10), ..TenantLimits::default() };
    way.queue.set_tenant_limits(&tenant, Some(limits)).await.unwrap();
    let job = || written(&plain());
    let jobs = [(job(), &b"12345678"[..]), (job(), b"123"), (job(), b"12"), (job(), b"")];
    let answers = way.enqueue(&jobs).await.unwrap();
    let told: Vec<_> =
        answers.iter().map(|answer| (answer["status"].as_str().unwrap(), &answer["limit"])).collect();
    assert_eq!(
        told,
        [
            ("accepted", &Json::Null),
            ("refused", &json!(10)),
            ("accepted", &Json::Null),
            ("refused", &json!(2))
        ]
    );
    assert_eq!((&answers[3]["refusal"], &answers[3]["retry_after"]), (&"full".into(), &json!(5)));
}
