//! What the script tells of a job is what Rust's progress tells; what comes on the channel is the same JSON.

use std::time::Duration;

use futures_util::StreamExt as _;
use presswork::{
    domain::{EventBody, KindName, Output, Progress, State, Verdict, WorkerId},
    progress::{ProgressBus as _, Publication},
    queue::{Ask, Queue as _},
};
use serde_json::{Value as Json, json};

use crate::{
    servers::{shared_cluster, shared_redis},
    way::{Way, new_id, plain, uuid, written},
};

async fn the_script_tells_what_rust_tells(way: Way) {
    let job = plain();
    let (tenant, id) = (job.tenant.as_str(), job.id.to_string());
    way.enqueue_one(written(&job)).await;
    let untouched = way.replay(tenant, std::slice::from_ref(&id)).await.unwrap().unwrap();
    assert_eq!(untouched, json!({ "job": id, "state": "waiting", "events": [], "more": false }));

    let mut live = way.progress.follow(&job.tenant, job.id, 0).await.unwrap();
    let ask = Ask { kinds: vec![KindName::literal("export")], most: 1, lease: Duration::from_secs(60) };
    let claim = way.queue.claim(&WorkerId::new("w"), &ask).await.unwrap().remove(0);
    let publish =
        |body| Publication { tenant: job.tenant.clone(), job: job.id, epoch: claim.lease.epoch, body };
    let progress =
        Progress { done: 1, total: 3, percent: 33.3, message: "\"a\" \\ ü".into(), remaining_seconds: None };
    let bodies = [EventBody::Progress(progress), EventBody::Text { text: "line\n\u{2028}".into() }];
    way.progress.publish(bodies.map(publish).into()).await.unwrap();
    let output = Output {
        result: json!({ "words": 12, "large": 9_007_199_254_740_993_u64, "none": [] }),
        artifacts: vec![],
    };
    way.queue.settle(vec![(claim.lease.clone(), Verdict::Done(output.clone()))]).await.unwrap();

    let mut followed = Vec::new();
    while let Some(event) = live.next().await {
        followed.push(serde_json::to_value(event.unwrap()).unwrap());
    }
    let told = way.replay(tenant, &[uuid(job.id)]).await.unwrap().unwrap();
    assert_eq!(told["events"].as_array().unwrap(), &followed);
    let types: Vec<&Json> = followed.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["state", "progress", "text", "state"]);
    assert_eq!((&told["state"], &told["more"]), (&json!(State::Completed), &json!(false)));
    assert_eq!(told["output"], serde_json::to_value(&output).unwrap());

    // In pieces, each from where the one before had got to.
    let mut pieces = Vec::new();
    loop {
        let after = pieces.last().map_or(0, |event: &Json| event["sequence"].as_u64().unwrap());
        let told =
            way.replay(tenant, &[id.clone(), after.to_string(), "2".to_owned()]).await.unwrap().unwrap();
        pieces.extend(told["events"].as_array().unwrap().iter().cloned());
        if told["more"] == false {
            break;
        }
    }
    assert_eq!(pieces, followed);
}

#[tokio::test]
async fn the_script_tells_of_a_job_what_rust_tells() {
    the_script_tells_what_rust_tells(Way::over(shared_redis().await)).await;
}

#[tokio::test]
async fn on_a_cluster_the_script_tells_of_a_job_what_rust_tells() {
    the_script_tells_what_rust_tells(Way::over(shared_cluster().await)).await;
}

#[tokio::test]
async fn an_unknown_job_is_told_as_nothing_and_a_wrong_question_as_an_error() {
    let way = Way::over(shared_redis().await);
    let job = plain();
    way.enqueue_one(written(&job)).await;
    let id = job.id.to_string();
    assert_eq!(way.replay("acme", &[new_id().to_string()]).await.unwrap(), None);
    assert_eq!(way.replay("other", std::slice::from_ref(&id)).await.unwrap(), None);
    for wrong in [
        &[][..],
        &["novel".to_owned()],
        &[id.clone(), "-1".to_owned()],
        &[id.clone(), "x".to_owned()],
        &[id.clone(), "0".to_owned(), "501".to_owned()],
        &[id.clone(), "0".to_owned(), "0".to_owned()],
    ] {
        assert!(way.replay("acme", wrong).await.is_err(), "{wrong:?}");
    }
    assert!(way.replay("a:b", &[id]).await.is_err());
}
