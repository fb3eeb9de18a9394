//! The cache over real servers: one load for many, invalidation everywhere, tenants apart, outages.

mod fleet;
mod loading;
mod outage;
mod world;

/// A test of each promise of a cache that two processes share, which `$open` opens.
macro_rules! promises {
    ($open:ident) => {
        promises! { $open:
            what_one_process_has_loaded_the_other_finds,
            of_many_who_ask_in_two_processes_one_loads,
            a_loader_that_gives_up_hands_over_to_another_process,
            a_loader_that_has_crashed_delays_others_no_longer_than_its_right_holds,
            the_right_to_load_is_kept_for_as_long_as_the_load_takes,
            an_invalidation_reaches_the_other_process_memory_and_what_is_shared,
            a_large_invalidation_goes_batch_by_batch,
            what_another_process_invalidates_during_a_load_is_not_shared,
            tenants_never_see_each_other_in_redis_either,
            a_poisoned_value_is_a_miss,
            what_the_fleet_shares_is_bounded_and_ends_by_itself,
        }
    };
    ($open:ident: $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::cache::fleet::$promise(crate::cache::world::$open).await;
            }
        )+
    };
}

mod on_redis {
    promises!(two);
}

mod on_a_redis_cluster {
    promises!(two_on_a_cluster);
}
