//! Makes tests of the promises of records and progress; those of the queue are in [`super::queue`].

/// A test of each promise of the records, on worlds (`records`, `clock`) that `$open()` opens.
macro_rules! records_laws {
    ($open:ident) => {
        $crate::conformance::suites::records_laws! { $open:
            a_document_is_read_as_it_was_written,
            collections_are_apart,
            a_write_happens_only_where_its_expectation_holds,
            a_removal_happens_only_where_its_expectation_holds,
            one_of_many_rivals_gets_through,
            what_has_expired_is_never_seen_again,
            a_listing_goes_through_a_prefix_page_by_page,
            what_is_out_of_bounds_is_refused,
        }
    };
    ($open:ident: $($law:ident,)+) => {
        $(
            #[tokio::test]
            async fn $law() {
                let world = $open().await;
                $crate::conformance::records::$law(&world.records, &world.clock).await;
            }
        )+
    };
}

/// A test of each promise of the schedules, on worlds that `$open()` opens.
macro_rules! schedules_laws {
    ($open:ident) => {
        $crate::conformance::suites::schedules_laws! { $open:
            a_due_schedule_makes_its_job_once,
            rivals_and_the_dead_make_one_job_a_firing,
            a_turn_that_nobody_ends_ends_by_itself,
            a_plan_is_changed_and_set_again,
            a_schedule_is_paused_resumed_and_removed,
            a_full_tenant_gets_its_job_later_and_holds_up_nobody,
            the_index_is_mended,
            an_unreadable_schedule_holds_up_nobody,
            what_is_no_schedule_is_mended_or_left_out,
            a_scheduler_at_work_hears_of_changes,
            many_schedules_fire_at_once,
        }
    };
    ($open:ident: $($law:ident,)+) => {
        $(
            #[tokio::test]
            async fn $law() {
                $crate::conformance::schedules::$law($open().await).await;
            }
        )+
    };
}

/// A test of each promise of the progress, on worlds (`bus`, `elsewhere`, `jobs`, `clock`) that `$open()` opens.
macro_rules! progress_laws {
    ($open:ident) => {
        $crate::conformance::suites::progress_laws! { $open:
            events_are_numbered_without_a_gap,
            a_replay_goes_on_from_a_number,
            a_lapsed_lease_publishes_nothing,
            a_batch_publishes_for_many_jobs,
            a_percentage_never_goes_back,
            old_events_go_and_state_changes_stay,
            a_follower_that_comes_back_goes_on,
            following_an_ended_job_ends,
            a_requeued_job_is_followed_on,
            a_tenant_sees_only_its_own_jobs,
            @two_processes
            a_follower_misses_nothing,
            news_of_another_process_wakes_a_follower,
        }
    };
    ($open:ident: $($law:ident,)+ @two_processes $($law_of_two:ident,)+) => {
        $(
            #[tokio::test]
            async fn $law() {
                let world = $open().await;
                $crate::conformance::progress::$law(&*world.bus, &world.jobs, &world.clock).await;
            }
        )+
        $(
            #[tokio::test]
            async fn $law_of_two() {
                let world = $open().await;
                let (bus, elsewhere) = (&*world.bus, &*world.elsewhere);
                $crate::conformance::progress::$law_of_two(bus, elsewhere, &world.jobs, &world.clock).await;
            }
        )+
    };
}

pub(crate) use {progress_laws, records_laws, schedules_laws};
