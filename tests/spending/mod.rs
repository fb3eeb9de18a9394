//! What `Spending` promises, kept on every store, by two processes that share it.

mod clocks;
mod promises;
mod worlds;

/// A test of each promise, on worlds that `$open()` opens.
macro_rules! promises {
    ($open:path) => {
        promises! { $open:
            a_budget_is_never_exceeded_however_many_ask_at_once,
            what_was_not_needed_is_given_back_and_a_settlement_counts_once,
            what_is_never_settled_counts_as_it_was_set_aside,
            a_day_and_a_month_begin_anew_and_what_is_set_aside_counts_in_both,
            tokens_are_a_budget_of_their_own,
            without_a_price_nothing_is_spent_of_a_budget_of_money,
            a_call_that_can_never_fit_is_told_so,
            tenants_are_apart_and_each_may_have_its_own_budget,
            accounts_add_up_to_what_was_booked_whatever_the_order,
            a_day_is_kept_for_four_hundred_days,
            who_has_spent_is_listed_in_pages,
        }
    };
    ($open:path: $($promise:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                crate::spending::promises::$promise(&$open().await).await;
            }
        )+
    };
}

mod on_sqlite {
    promises!(crate::spending::worlds::on_sqlite);
}

mod on_redis {
    promises!(crate::spending::worlds::on_redis);
}

mod on_a_redis_cluster {
    promises!(crate::spending::worlds::on_a_redis_cluster);
}
