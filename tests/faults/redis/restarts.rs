//! A server that has all on disk before it answers, killed with -9 and started again under load.

use presswork::domain::Random as _;

use super::{load::Load, nothing_is_left};
use crate::servers::{RedisServer, fresh_namespace};

const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_any_time_loses_nothing_that_it_had_answered() {
    let (mut server, namespace) = (RedisServer::start_durable(), fresh_namespace());
    let load = Load::start(&server.url(), &namespace, 1, 3).await;
    for _ in 0..KILLS {
        load.answered(1 + load.random.below(400)).await;
        tokio::task::block_in_place(|| server.restart());
    }
    load.answered(100).await;
    let book = load.finish().await;
    assert!(book.failures > 0, "nobody noticed");
    let queue = load.queue().await;
    book.holds(&queue).await;
    nothing_is_left(&queue, &[server.port()], &namespace).await;
}
