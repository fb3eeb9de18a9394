//! The promises of `Spending`.

use std::{collections::BTreeMap, time::Duration};

use presswork::{
    domain::{Clock as _, Cost, Day, Random as _, SeededRandom},
    spending::{Estimate, Measure, Refused, Reservation, Settled, Spending, Totals},
};

use super::worlds::{World, call, model, used};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

async fn reserve(spending: &Spending, world: &World, estimate: &Estimate) -> Result<Reservation, Refused> {
    spending.reserve(&world.acme, estimate, HOUR).await.unwrap()
}

async fn report(world: &World, from: Day, to: Day) -> BTreeMap<Day, Totals> {
    let report = world.there.report(&world.acme, Some(from), Some(to)).await.unwrap();
    let total = |day: &presswork::spending::DaySpending| {
        let mut sum = Totals::default();
        day.models.iter().for_each(|model| sum.sum(&model.totals));
        (day.day, sum)
    };
    report.days.iter().map(total).collect()
}

pub(crate) async fn a_budget_is_never_exceeded_however_many_ask_at_once(world: &World) {
    world.limit(&world.acme, Measure::Daily, 1_000).await;
    let ask = |n: usize| {
        let spending = if n.is_multiple_of(2) { world.here.clone() } else { world.there.clone() };
        let acme = world.acme.clone();
        tokio::spawn(async move { spending.reserve(&acme, &call(100), HOUR).await.unwrap() })
    };
    let mut granted = Vec::new();
    for answer in (0..40).map(ask).collect::<Vec<_>>() {
        match answer.await.unwrap() {
            Ok(reservation) => granted.push(reservation),
            Err(Refused::UsedUp { wanted, standing }) => {
                assert_eq!((wanted, standing.limit), (100, Some(1_000)));
                assert!(
                    standing.spent + standing.reserved > 900 && standing.spent + standing.reserved <= 1_000
                );
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((granted.len(), world.standing(Measure::Daily).await), (10, (0, 1_000)));
    // Each asks again for what it was given back: in the end it is spent to the last.
    let (mut rounds, mut all) = (0, 10);
    while !granted.is_empty() {
        rounds += 1;
        let settle = |(n, reservation): (usize, Reservation)| {
            let (mine, others) = (world.here.clone(), world.there.clone());
            let (settles, asks) = if n % 2 == 0 { (mine, others) } else { (others, mine) };
            tokio::spawn(async move {
                settles.settle(&reservation, Some(&used(50))).await.unwrap();
                asks.reserve(&reservation.tenant, &call(100), HOUR).await.unwrap()
            })
        };
        let again: Vec<_> = granted.drain(..).enumerate().map(settle).collect();
        for answer in again {
            granted.extend(answer.await.unwrap().ok());
        }
        all += granted.len();
        let (spent, reserved) = world.standing(Measure::Daily).await;
        assert!(spent + reserved <= 1_000, "{spent} and {reserved}");
    }
    let (spent, reserved) = world.standing(Measure::Daily).await;
    assert_eq!((spent, reserved), (50 * all as u64, 0));
    assert!(rounds > 2 && spent > 900, "{rounds} rounds, {spent} spent");
}

pub(crate) async fn what_was_not_needed_is_given_back_and_a_settlement_counts_once(world: &World) {
    world.limit(&world.acme, Measure::Daily, 100).await;
    let first = reserve(&world.here, world, &call(100)).await.unwrap();
    assert!(matches!(reserve(&world.there, world, &call(1)).await, Err(Refused::UsedUp { .. })));
    assert_eq!(world.there.settle(&first, Some(&used(30))).await.unwrap(), Settled::Settled);
    assert_eq!(world.here.settle(&first, Some(&used(30))).await.unwrap(), Settled::Gone);
    assert_eq!(world.standing(Measure::Daily).await, (30, 0));
    // What was never asked costs nothing.
    let second = reserve(&world.there, world, &call(70)).await.unwrap();
    assert_eq!(world.here.settle(&second, None).await.unwrap(), Settled::Settled);
    assert_eq!(world.standing(Measure::Daily).await, (30, 0));
    let today = Day::of(world.clock.now());
    let total = report(world, today, today).await[&today];
    assert_eq!(
        (total.calls, total.cost, total.input_tokens, total.output_tokens),
        (1, Cost::from_nanos(30), 8, 12)
    );
    assert_eq!((total.estimated_calls, total.lost_calls, total.unpriced_calls), (0, 0, 0));
}

pub(crate) async fn what_is_never_settled_counts_as_it_was_set_aside(world: &World) {
    world.limit(&world.acme, Measure::Daily, 100).await;
    let killed = reserve(&world.here, world, &call(80)).await.unwrap();
    world.clock.advance(HOUR);
    // Its time is over: it is spent, also before anybody has written that.
    assert_eq!(world.standing(Measure::Daily).await, (80, 0));
    assert!(matches!(reserve(&world.there, world, &call(21)).await, Err(Refused::UsedUp { .. })));
    assert!(reserve(&world.there, world, &call(20)).await.is_ok());
    // One that comes back after that is too late to count twice.
    assert_eq!(world.here.settle(&killed, Some(&used(10))).await.unwrap(), Settled::Gone);
    let today = Day::of(world.clock.now());
    let total = report(world, today, today).await[&today];
    assert_eq!((total.calls, total.lost_calls, total.estimated_calls, total.tokens()), (1, 1, 1, 100));
}

pub(crate) async fn a_day_and_a_month_begin_anew_and_what_is_set_aside_counts_in_both(world: &World) {
    world.limit(&world.acme, Measure::Daily, 100).await;
    world.limit(&world.acme, Measure::Monthly, 150).await;
    let first = Day::of(world.clock.now());
    let spent = reserve(&world.here, world, &call(90)).await.unwrap();
    world.here.settle(&spent, Some(&used(90))).await.unwrap();
    let Err(Refused::UsedUp { standing, .. }) = reserve(&world.there, world, &call(20)).await else {
        panic!("it was granted")
    };
    assert_eq!((standing.measure, standing.resets_at), (Measure::Daily, first.later(1).begins()));
    // Ten minutes before midnight something begins that ends behind it.
    world.clock.advance(first.later(1).begins().since(world.clock.now()) - Duration::from_secs(600));
    let late = reserve(&world.there, world, &call(10)).await.unwrap();
    assert_eq!(world.standing(Measure::Daily).await, (90, 10));
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.standing(Measure::Daily).await, (0, 10));
    assert_eq!(world.standing(Measure::Monthly).await, (90, 10));
    world.here.settle(&late, Some(&used(4))).await.unwrap();
    assert_eq!(world.standing(Measure::Daily).await, (4, 0));
    // The month is what is short now.
    let Err(Refused::UsedUp { standing, .. }) = reserve(&world.here, world, &call(57)).await else {
        panic!("it was granted")
    };
    assert_eq!((standing.measure, standing.resets_at), (Measure::Monthly, first.next_month().begins()));
    assert_eq!(standing.resets_at.to_string(), "2026-12-01T00:00:00.000Z");
    let second = first.later(1);
    let days = report(world, first, second).await;
    assert_eq!((days[&first].cost.as_nanos(), days[&second].cost.as_nanos()), (90, 4));
    world.clock.advance(standing.resets_at.since(world.clock.now()));
    assert_eq!(world.standing(Measure::Monthly).await, (0, 0));
    assert!(reserve(&world.there, world, &call(100)).await.is_ok());
    // Looked at from the next month, each day is still what it was.
    assert_eq!(report(world, first, second).await, days);
}

pub(crate) async fn tokens_are_a_budget_of_their_own(world: &World) {
    world.limit(&world.acme, Measure::DailyTokens, 250).await;
    let free = Estimate { cost: None, ..call(0) };
    let first = reserve(&world.here, world, &free).await.unwrap();
    let _second = reserve(&world.there, world, &free).await.unwrap();
    assert!(matches!(reserve(&world.here, world, &free).await, Err(Refused::UsedUp { wanted: 100, .. })));
    world.there.settle(&first, Some(&used(0))).await.unwrap();
    assert_eq!(world.standing(Measure::DailyTokens).await, (20, 100));
    assert!(reserve(&world.there, world, &free).await.is_ok());
}

pub(crate) async fn without_a_price_nothing_is_spent_of_a_budget_of_money(world: &World) {
    let unpriced = Estimate { cost: None, ..call(0) };
    // Nobody has limited money: it is asked, and the cost stays unknown.
    let first = reserve(&world.here, world, &unpriced).await.unwrap();
    world.here.settle(&first, Some(&presswork::spending::Used { cost: None, ..used(0) })).await.unwrap();
    let today = Day::of(world.clock.now());
    assert_eq!(report(world, today, today).await[&today].whole_cost(), None);
    world.limit(&world.acme, Measure::Monthly, u64::MAX).await;
    assert_eq!(reserve(&world.there, world, &unpriced).await, Err(Refused::NoPrice(model("a"))));
}

pub(crate) async fn a_call_that_can_never_fit_is_told_so(world: &World) {
    world.limit(&world.acme, Measure::Monthly, 99).await;
    let refused = reserve(&world.there, world, &call(100)).await;
    assert!(matches!(refused, Err(Refused::TooLarge { wanted: 100, .. })), "{refused:?}");
}

pub(crate) async fn tenants_are_apart_and_each_may_have_its_own_budget(world: &World) {
    world.limit(&world.acme, Measure::Daily, 100).await;
    world.limit(&world.other, Measure::Daily, 200).await;
    assert!(reserve(&world.here, world, &call(100)).await.is_ok());
    assert!(reserve(&world.there, world, &call(1)).await.is_err());
    let theirs = world.there.reserve(&world.other, &call(150), HOUR).await.unwrap().unwrap();
    world.there.settle(&theirs, Some(&used(150))).await.unwrap();
    world.here.budgets().reset(&world.acme, Measure::Daily).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert!(reserve(&world.there, world, &call(1_000_000)).await.is_ok());
    let today = Day::of(world.clock.now());
    assert!(report(world, today, today).await.is_empty());
    let theirs = world.here.report(&world.other, None, None).await.unwrap();
    assert_eq!((theirs.from, theirs.total().cost.as_nanos()), (today.first_of_month(), 150));
}

pub(crate) async fn accounts_add_up_to_what_was_booked_whatever_the_order(world: &World) {
    for seed in 1..=4_u64 {
        let random = SeededRandom::new(seed);
        let tenant = format!("tenant-{seed}").parse().unwrap();
        let (first, mut open, mut expected) = (Day::of(world.clock.now()), Vec::new(), Totals::default());
        for _ in 0..120 {
            let spending = if random.below(2) == 0 { &world.here } else { &world.there };
            match random.below(10) {
                0..=3 => {
                    let name = model(["a", "b", "c"][usize::try_from(random.below(3)).unwrap()]);
                    let estimate = Estimate { name, ..call(random.below(1_000)) };
                    open.push(spending.reserve(&tenant, &estimate, 3 * DAY).await.unwrap().unwrap());
                }
                4..=6 if !open.is_empty() => {
                    let place = usize::try_from(random.below(open.len() as u64)).unwrap();
                    let (reservation, used) = (open.swap_remove(place), used(random.below(900)));
                    if spending.settle(&reservation, Some(&used)).await.unwrap() == Settled::Settled {
                        expected.add(&used);
                    } else {
                        // Its time was over: as it was set aside.
                        expected.lost_calls += 1;
                        let Estimate { input_tokens, output_tokens, cost, .. } = reservation.estimate;
                        let lost = presswork::spending::Used {
                            input_tokens,
                            output_tokens,
                            cost,
                            is_estimate: true,
                            ..used
                        };
                        expected.add(&lost);
                    }
                }
                7 => {
                    spending.cached(&tenant, &model("a"), Cost::from_nanos(5)).await.unwrap();
                    expected.add_cached(Cost::from_nanos(5));
                }
                8 => world.clock.advance(Duration::from_secs(random.below(40) * 3_600)),
                _ => {}
            }
        }
        for reservation in open {
            if world.here.settle(&reservation, None).await.unwrap() == Settled::Gone {
                expected.lost_calls += 1;
                let Estimate { input_tokens, output_tokens, cost, .. } = reservation.estimate;
                let lost = presswork::spending::Used {
                    input_tokens,
                    output_tokens,
                    cost,
                    is_estimate: true,
                    ..used(0)
                };
                expected.add(&lost);
            }
        }
        let report =
            world.there.report(&tenant, Some(first), Some(Day::of(world.clock.now()))).await.unwrap();
        assert_eq!(report.total(), expected, "seed {seed}");
        assert!(report.days.len() > 2 && report.days.is_sorted_by_key(|day| day.day), "seed {seed}");
    }
    // The fleet's metrics have counted all that was booked, but what was lost.
    let fleet = world.there.fleet().await.unwrap();
    let cached: u64 = fleet.iter().map(|(_, totals)| totals.cached_calls).sum();
    let page =
        world.here.tenants(Some(Day::of(world.clock.now()).earlier(399)), None, None, 100).await.unwrap();
    assert_eq!(cached, page.items.iter().map(|one| one.totals.cached_calls).sum::<u64>());
}

pub(crate) async fn a_day_is_kept_for_four_hundred_days(world: &World) {
    let first = Day::of(world.clock.now());
    for _ in 0..3 {
        let one = reserve(&world.here, world, &call(10)).await.unwrap();
        world.there.settle(&one, Some(&used(10))).await.unwrap();
        world.clock.advance(DAY);
    }
    let one = reserve(&world.here, world, &call(10)).await.unwrap();
    world.here.settle(&one, Some(&used(10))).await.unwrap();
    let last = first.later(3);
    assert_eq!(report(world, first, last).await.len(), 4);
    world.clock.advance(397 * DAY);
    assert_eq!(report(world, first, first.later(400)).await.keys().next(), Some(&first.later(1)));
    assert!(world.here.report(&world.acme, Some(first), Some(first.later(401))).await.is_err());
    assert!(world.here.report(&world.acme, Some(last), Some(first)).await.is_err());
}

pub(crate) async fn who_has_spent_is_listed_in_pages(world: &World) {
    for tenant in [&world.acme, &world.other] {
        let one = world.here.reserve(tenant, &call(10), HOUR).await.unwrap().unwrap();
        world.here.settle(&one, Some(&used(10))).await.unwrap();
    }
    let first = world.there.tenants(None, None, None, 1).await.unwrap();
    assert_eq!((&first.items[0].tenant, first.items[0].totals.calls), (&world.acme, 1));
    let second = world.there.tenants(None, None, first.next.as_ref(), 1).await.unwrap();
    assert_eq!(&second.items[0].tenant, &world.other);
}
