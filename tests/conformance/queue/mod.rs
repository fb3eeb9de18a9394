//! The laws of the queue, by theme. A law takes a [`World`]: an engine with nothing in it, whose clock stands still.

pub(crate) mod acceptance;
pub(crate) mod batches;
pub(crate) mod cancelling;
pub(crate) mod dependencies;
pub(crate) mod fairness;
pub(crate) mod leases;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod order;
pub(crate) mod retries;
pub(crate) mod settling;
pub(crate) mod sweeping;
pub(crate) mod uniqueness;
pub(crate) mod waiting;
pub(crate) mod why;
pub(crate) mod world;

pub(crate) use world::World;

/// Makes a test of each law, on worlds that `$open().await` opens.
macro_rules! laws {
    ($open:ident) => {
        $crate::conformance::queue::laws_over_shards!($open);
        $crate::conformance::queue::laws! { $open:
            fairness::equal_tenants_are_served_equally,
            fairness::twice_the_weight_is_twice_the_service,
            fairness::five_times_the_weight_is_five_times_the_service,
            fairness::service_is_counted_in_cost_units,
            fairness::single_claims_are_as_fair_as_batches,
            fairness::an_idle_tenant_has_no_credit,
            fairness::a_throttled_tenant_has_no_credit,
            fairness::a_flood_delays_another_tenant_by_no_more_than_a_quantum,
            fairness::a_weight_changed_at_run_time_counts_from_the_next_claim,
            limits::a_kind_cap_holds_over_all_tenants,
            limits::a_lapse_frees_the_caps,
            why::what_holds_a_lane_up_is_told_widest_first,
        }
    };
    ($open:ident: $($theme:ident::$law:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $law() {
                $crate::conformance::queue::$theme::$law(&$open().await).await;
            }
        )+
    };
}

/// The same of those laws that hold also where tenants live on several shards: between tenants of different shards
/// service is not fair to the quantum, and a kind's cap is divided among the shards.
macro_rules! laws_over_shards {
    ($open:ident) => {
        $crate::conformance::queue::laws! { $open:
            acceptance::a_job_is_kept_as_it_was_given,
            acceptance::a_known_id_is_answered_with_the_job_that_is_there,
            acceptance::a_known_key_is_answered_with_the_job_that_is_there,
            acceptance::a_key_counts_within_its_tenant_and_kind_only,
            acceptance::a_key_outlives_the_end_of_its_job,
            acceptance::an_invalid_job_does_not_harm_its_neighbours,
            acceptance::too_many_waiting_jobs_are_refused_until_some_have_gone,
            acceptance::too_many_waiting_bytes_are_refused_until_some_have_gone,
            acceptance::a_duplicate_is_answered_even_where_the_tenant_is_full,
            acceptance::one_tenant_full_does_not_close_the_door_to_another,
            acceptance::an_empty_batch_is_answered_with_nothing,
            order::jobs_of_a_lane_go_first_in_first_out,
            order::better_priorities_go_first,
            order::priority_never_moves_a_job_before_another_tenants,
            order::a_delayed_job_starts_at_its_time_and_not_before,
            order::a_time_that_has_passed_delays_nothing,
            order::a_due_job_is_not_starved_by_later_arrivals,
            order::a_claim_takes_only_the_kinds_asked_for,
            order::kinds_take_turns,
            order::a_claim_never_hands_out_more_than_asked,
            limits::a_bucket_lets_its_burst_through_and_then_keeps_the_rate,
            limits::a_faster_rate_forgets_what_the_slower_one_had_lent,
            limits::a_claim_that_gets_nothing_takes_no_token,
            limits::a_throttled_lane_does_not_block_others,
            limits::a_tenant_cap_holds_over_all_its_kinds,
            limits::a_lane_cap_holds_for_its_lane_only,
            limits::a_lapse_in_one_kind_frees_the_tenant_cap_for_another,
            limits::caps_hold_when_many_workers_claim_at_once,
            limits::limits_changed_at_run_time_hold_from_the_next_claim,
            limits::limits_read_back_as_set_and_fall_back_to_the_defaults,
            limits::a_pause_of_a_tenant_stops_its_jobs_only,
            limits::a_pause_of_a_kind_stops_its_jobs_only,
            limits::a_pause_of_everything_stops_everything,
            limits::nested_pauses_end_one_by_one,
            limits::what_runs_goes_on_during_a_pause,
            leases::a_job_is_claimed_once,
            leases::workers_that_claim_at_once_never_share_a_job,
            leases::a_lapsed_lease_is_claimed_again_in_its_place,
            leases::a_lapse_on_the_last_attempt_makes_the_job_dead,
            leases::a_lapse_after_a_request_to_cancel_makes_the_job_cancelled,
            leases::an_old_epoch_can_neither_renew_nor_settle,
            leases::a_lapsed_lease_is_lost_even_before_it_is_claimed_again,
            leases::epochs_rise_whatever_ends_the_attempt,
            leases::a_renewal_prolongs_the_lease,
            leases::a_checkpoint_survives_a_lapse_and_a_retry,
            leases::a_renewal_without_a_checkpoint_keeps_the_stored_one,
            leases::a_renewal_tells_of_a_request_to_cancel,
            leases::renewals_are_answered_one_by_one,
            settling::a_done_job_publishes_its_output,
            settling::repeating_a_settlement_answers_the_same,
            settling::another_verdict_after_the_first_changes_nothing,
            settling::settlements_are_answered_one_by_one,
            settling::every_verdict_makes_its_transition,
            settling::done_wins_over_a_request_to_cancel,
            settling::a_failure_after_a_request_to_cancel_makes_the_job_cancelled,
            retries::a_retry_runs_at_its_time_and_not_before,
            retries::attempts_are_counted_and_the_last_failure_is_dead,
            retries::a_snooze_costs_no_attempt,
            retries::a_retry_that_is_due_at_once_may_be_claimed_at_once,
            cancelling::cancelling_follows_the_table_from_each_state,
            cancelling::requeuing_follows_the_table_from_each_state,
            cancelling::a_cancelled_job_is_not_handed_out,
            cancelling::a_requeued_job_has_all_its_attempts_and_its_checkpoint,
            cancelling::another_tenants_job_does_not_exist,
            cancelling::the_same_id_in_another_tenant_never_touches_the_first,
            listing::a_listing_is_newest_first_and_whole,
            listing::jobs_that_came_together_are_listed_and_go_one_by_one,
            listing::a_cursor_is_stable_under_arrivals,
            listing::filters_choose_by_state_and_kind,
            listing::inspecting_answers_in_the_order_asked,
            listing::statistics_agree_with_the_truth,
            sweeping::a_sweep_removes_what_ended_before_and_nothing_else,
            sweeping::a_sweep_frees_the_key_and_the_id,
            sweeping::a_sweep_returns_lapsed_leases,
            sweeping::a_large_sweep_ends_after_bounded_batches,
            sweeping::of_each_tenant_those_that_ended_last_are_kept,
            sweeping::age_counts_also_where_the_number_does_not,
            sweeping::a_large_sweep_by_number_ends_after_bounded_batches,
            waiting::waiting_ends_at_once_where_there_is_work,
            waiting::waiting_ends_at_once_where_a_delay_is_over,
            waiting::an_arrival_ends_the_waiting,
            waiting::every_waiting_worker_gets_its_job,
            waiting::a_freed_cap_ends_the_waiting,
            waiting::resuming_ends_the_waiting,
            waiting::a_retry_that_is_due_ends_the_waiting,
            waiting::a_requeue_ends_the_waiting,
            waiting::a_completion_that_unblocks_ends_the_waiting,
            waiting::the_end_of_a_batch_ends_the_waiting,
            uniqueness::a_unique_job_is_kept_as_it_was_given,
            uniqueness::while_a_job_waits_a_second_one_of_its_key_is_answered_with_it,
            uniqueness::while_a_job_runs_one_more_of_its_key_may_wait,
            uniqueness::once_a_job_has_ended_its_key_is_free,
            uniqueness::of_several_jobs_of_a_key_the_one_accepted_last_counts,
            uniqueness::a_requeued_job_is_in_the_window_again,
            uniqueness::a_unique_key_counts_within_its_tenant_and_kind_only,
            uniqueness::two_of_a_unique_key_in_one_call_are_one_job,
            uniqueness::id_and_idempotency_key_are_asked_before_the_unique_key,
            uniqueness::a_taken_window_is_answered_even_where_the_tenant_is_full,
            dependencies::a_job_waits_until_the_last_it_names_has_completed,
            dependencies::a_chain_runs_in_its_order,
            dependencies::what_has_completed_before_blocks_nothing,
            dependencies::a_job_named_twice_counts_once,
            dependencies::jobs_that_are_not_there_can_not_be_waited_for,
            dependencies::a_repeated_call_is_answered_though_what_it_names_has_gone,
            dependencies::a_thousand_jobs_may_wait_for_one_and_no_more,
            dependencies::one_that_ends_badly_leaves_blocked_and_may_yet_complete,
            dependencies::one_that_is_removed_uncompleted_cancels_what_waits_for_it,
            dependencies::removing_what_has_completed_harms_nobody,
            dependencies::an_unblocked_job_waits_for_its_own_time,
            dependencies::a_time_alone_does_not_unblock,
            dependencies::a_blocked_job_that_was_cancelled_and_requeued_waits_for_nobody,
            dependencies::a_blocked_job_can_not_be_requeued,
            dependencies::blocked_jobs_count_as_waiting_at_the_door,
            batches::the_callback_runs_once_all_jobs_have_ended,
            batches::a_batch_is_opened_once,
            batches::a_batch_needs_no_callback,
            batches::a_batch_that_makes_no_sense_is_refused_with_its_callback,
            batches::a_full_tenant_opens_no_batch_with_a_callback,
            batches::a_batch_takes_as_many_jobs_as_it_was_opened_for,
            batches::a_batch_that_is_not_full_does_not_end,
            batches::a_requeued_job_of_a_batch_counts_again_when_it_ends_again,
            batches::a_job_that_lapses_to_its_end_ends_its_batch,
            batches::a_cancelled_callback_stays_cancelled,
            batches::a_callback_waits_for_its_own_time_too,
            batches::a_job_may_wait_for_a_callback_and_within_a_batch,
            batches::a_batch_is_removed_some_time_after_its_last_job_has_ended,
            batches::an_abandoned_batch_is_removed_and_its_callback_cancelled,
            why::a_job_that_runs_or_has_ended_is_held_up_by_nothing,
            why::a_time_that_has_not_come_is_told,
            why::jobs_that_have_not_completed_are_told,
            why::a_batch_that_has_not_ended_is_told,
            why::the_next_token_and_those_ahead_make_the_estimate,
            why::jobs_of_the_lane_that_go_first_are_counted,
            why::the_pace_of_a_lane_makes_the_estimate,
        }
    };
}

pub(crate) use laws;
pub(crate) use laws_over_shards;
