//! A server without room, and one that does not answer.

use presswork::{
    domain::{State, WorkerId},
    queue::{Ask, Enqueued, Queue as _, QueueError},
};

use super::{EXPORT, job, nothing_is_left, queue, tenant};
use crate::{
    conformance::queue::world::{LEASE, done},
    servers::{RedisServer, fresh_namespace, proxy::Proxy},
};

#[tokio::test]
async fn a_full_server_refuses_what_is_new_and_lets_what_is_there_end() {
    let (server, namespace) = (RedisServer::start(), fresh_namespace());
    let queue = queue(&server.url(), &namespace, 1).await;
    let acme = tenant(0);
    let jobs: Vec<_> = (0..50).map(|_| job(&acme, &EXPORT, &[b'1'; 1_000])).collect();
    queue.enqueue(jobs).await.unwrap();
    let late = job(&acme, &EXPORT, b"{}");
    let ask = Ask { kinds: vec![EXPORT], most: 25, lease: LEASE };

    // Less than it holds.
    assert_eq!(server.ask("CONFIG SET maxmemory 1 maxmemory-policy noeviction").unwrap(), "+OK");
    let refused = queue.enqueue(vec![late.clone()]).await;
    assert!(matches!(refused, Err(QueueError::Unwritable { .. })), "{refused:?}");
    let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
    assert_eq!(claims.len(), 25, "what is there goes on");
    let settlements = claims.into_iter().map(|claim| (claim.lease, done())).collect();
    for settled in queue.settle(settlements).await.unwrap() {
        assert_eq!(settled, presswork::queue::Settled::Now(State::Completed));
    }

    assert_eq!(server.ask("CONFIG SET maxmemory 0").unwrap(), "+OK");
    let id = late.id;
    assert_eq!(queue.enqueue(vec![late]).await.unwrap(), [Ok(Enqueued::Accepted(id))]);
    let mut completed = 25;
    while completed < 51 {
        let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
        assert!(!claims.is_empty(), "{completed} are completed");
        completed += claims.len();
        let settlements = claims.into_iter().map(|claim| (claim.lease, done())).collect();
        queue.settle(settlements).await.unwrap();
    }
    nothing_is_left(&queue, &[server.port()], &namespace).await;
}

/// The five seconds after which a server counts as hung are not waited for: what was swallowed arrives, late and in order.
#[tokio::test]
async fn calls_that_were_swallowed_are_answered_once_the_way_is_open_again() {
    let (server, namespace) = (RedisServer::start(), fresh_namespace());
    let proxy = Proxy::to(server.port()).await;
    let queue = queue(&proxy.url(), &namespace, 1).await;
    let acme = tenant(0);
    let ask = Ask { kinds: vec![EXPORT], most: 5, lease: LEASE };
    queue.enqueue((0..5).map(|_| job(&acme, &EXPORT, b"{}")).collect()).await.unwrap();
    let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
    let settlements: Vec<_> = claims.into_iter().map(|claim| (claim.lease, done())).collect();

    proxy.close();
    let (settling, waiting) = (queue.clone(), queue.clone());
    let settled = tokio::spawn(async move { settling.settle(settlements).await });
    let waited = tokio::spawn(async move { waiting.wait(&[EXPORT]).await });
    // The server itself goes on, and other clients with it.
    let other = super::queue(&server.url(), &namespace, 1).await;
    other.enqueue(vec![job(&acme, &EXPORT, b"{}")]).await.unwrap();
    assert_eq!(other.stats(None).await.unwrap().count(State::Running), 5, "nothing gets through");
    assert!(!settled.is_finished() && !waited.is_finished());
    proxy.open();
    for answer in settled.await.unwrap().unwrap() {
        assert_eq!(answer, presswork::queue::Settled::Now(State::Completed));
    }
    waited.await.unwrap().unwrap();
    let claims = queue.claim(&WorkerId::new("w"), &ask).await.unwrap();
    assert_eq!(claims.len(), 1);
    queue.settle(claims.into_iter().map(|claim| (claim.lease, done())).collect()).await.unwrap();
    nothing_is_left(&queue, &[server.port()], &namespace).await;
}
