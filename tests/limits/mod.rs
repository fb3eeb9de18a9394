//! What `Limiter` promises, kept by every engine, and what happens while the fleet's is away.

mod engines;
mod outage;
mod promises;
mod rules;
mod worlds;

/// A test of each promise, on worlds that `$open()` opens.
macro_rules! promises {
    ($open:path) => {
        promises! { $open:
            a_burst_is_exact_however_many_take_at_once,
            in_an_hour_no_more_than_the_rate_and_a_burst_passes,
            a_cost_above_the_burst_waits_for_a_full_bucket_and_leaves_a_debt,
            a_decision_tells_what_a_client_needs,
            buckets_are_apart,
            a_changed_rate_is_in_force_at_once,
            a_settlement_gives_back_what_was_not_needed,
            a_settlement_takes_what_was_too_little,
            a_reservation_is_settled_once,
            a_reservation_that_is_never_settled_expires_and_counts_as_the_estimate,
            what_would_have_been_spilled_does_not_come_back,
            every_engine_answers_as_the_rule_does,
            a_park_holds_elsewhere_at_once_and_until_its_time,
            what_is_answered_is_counted,
        }
    };
    ($open:path: $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::limits::promises::$promise(&$open().await).await;
            }
        )+
    };
}

mod in_memory {
    promises!(crate::limits::worlds::in_memory);
}

mod in_records_of_sqlite {
    promises!(crate::limits::worlds::in_records_of_sqlite);
}

mod on_redis {
    promises!(crate::limits::worlds::on_redis);
}

mod on_redis_with_a_fallback {
    promises!(crate::limits::worlds::on_redis_with_a_fallback);
}

mod on_a_redis_cluster {
    promises!(crate::limits::worlds::on_a_redis_cluster);
}
