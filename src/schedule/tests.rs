//! Times: time zones, jitter, what is caught up. That schedules keep their promises on each engine is in
//! `tests/conformance/schedules.rs`.

use std::{collections::BTreeSet, time::Duration};

use serde_json::value::RawValue;

use super::{firing::work, *};
use crate::{
    domain::{JobId, KindName, Priority, Reason, Timestamp},
    queue::{Enqueued, Refusal},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn firings(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let timing = Timing::new(cron, zone).unwrap();
    let all = std::iter::successors(timing.next(at(after)), |last| timing.next(*last));
    all.take(count).map(|firing| timing.local(firing).split('[').next().unwrap().to_owned()).collect()
}

fn schedule(cron: &str, catch_up: CatchUp, jitter: Duration, after: &str) -> Schedule {
    let plan = Plan {
        kind: KindName::literal("print"),
        payload: SchedulePayload { version: 1, json: RawValue::from_string("{}".to_owned()).unwrap() },
        cron: cron.to_owned(),
        zone: "UTC".to_owned(),
        jitter,
        catch_up,
        priority: Priority::Normal,
        cost: 1,
        max_attempts: 5,
    };
    let mut schedule = Schedule {
        tenant: "acme".parse().unwrap(),
        name: "nightly".parse().unwrap(),
        plan,
        paused: false,
        generation: 1,
        next: None,
        last: None,
        trouble: None,
        dropped: None,
        changed_at: at(after),
    };
    schedule.next = schedule.next_after(&schedule.plan.timing().unwrap(), at(after));
    schedule
}

/// Works a due schedule off with a queue that takes everything; the firings made, as minutes of the hour.
fn run(schedule: &Schedule, now: &str) -> (Vec<String>, Schedule) {
    let work = work(schedule, at(now)).unwrap();
    let answers: Vec<_> = work.jobs(schedule).map(|job| Ok(Enqueued::Accepted(job.id))).collect();
    let made = work.firings.iter().map(|firing| firing.to_string()[11..16].to_owned()).collect();
    (made, work.concluded(schedule, &answers, at(now)))
}

#[test]
fn a_schedule_keeps_to_the_clock_on_the_wall() {
    let six = firings("0 6 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 2);
    assert_eq!(six, ["2026-03-28T06:00:00+01:00", "2026-03-29T06:00:00+02:00"]);
    let weekdays = firings("30 9 * * mon-fri", "America/New_York", "2026-11-20T23:00:00Z", 1);
    assert_eq!(weekdays, ["2026-11-23T09:30:00-05:00"]);
    assert_eq!(firings("@daily", "UTC", "2026-11-22T05:00:00Z", 1), ["2026-11-23T00:00:00+00:00"]);
    assert_eq!(firings("*/15 * * * * *", "UTC", "2026-11-22T05:00:00.5Z", 1), ["2026-11-22T05:00:15+00:00"]);
}

#[test]
fn in_spring_a_fixed_time_moves_behind_the_gap_and_an_interval_leaves_it_out() {
    let fixed = firings("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(
        fixed,
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    );
    let interval = firings("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(
        interval,
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]
    );
    let list = firings("0 2,14 * * *", "Europe/Berlin", "2026-03-28T20:00:00Z", 2);
    assert_eq!(list, ["2026-03-29T14:00:00+02:00", "2026-03-30T02:00:00+02:00"]);
    // Where the gap is at midnight the day stays the same.
    let midnight = firings("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", 2);
    assert_eq!(midnight, ["2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"]);
}

#[test]
fn in_autumn_a_fixed_time_fires_once_and_an_interval_through_both_hours() {
    let fixed = firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(fixed, ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
    let interval = firings("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
    assert_eq!(
        interval,
        ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"]
    );
}

#[test]
fn what_is_no_time_is_refused_with_what_to_do() {
    for cron in ["", "0 6 * *", "61 * * * *", "0 6 * * * * * *", "@never", "0 6 * * ß", "* * * * \u{130}"] {
        let refused = Timing::new(cron, "UTC").unwrap_err();
        assert!(matches!(refused, TimingError::Expression { .. }), "{cron:?}: {refused:?}");
        assert!(refused.to_string().contains("0 6 * * *"), "{refused}");
    }
    assert!(Timing::new(&"1,".repeat(1_000), "UTC").is_err());
    for zone in ["", "Europe/Atlantis", "../../etc/passwd", "/etc/localtime"] {
        assert!(matches!(Timing::new("* * * * *", zone), Err(TimingError::Zone(_))), "{zone:?}");
    }
    assert_eq!(Timing::new("0 0 30 2 *", "UTC").unwrap().next(at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn the_latest_of_many_missed_firings_are_found() {
    let timing = Timing::new("* * * * *", "UTC").unwrap();
    let first = at("2020-01-01T00:00:00Z");
    let until = at("2026-11-22T05:00:30Z");
    for most in [1, 2, 100, 101] {
        let latest = timing.latest(first, until, most);
        assert_eq!(latest.len(), most);
        assert_eq!(latest.last(), Some(&at("2026-11-22T05:00:00Z")));
        assert!(latest.windows(2).all(|pair| pair[1] == pair[0].after(MINUTE)), "{latest:?}");
    }
    assert_eq!(timing.latest(first, first.after(MINUTE * 2), 3).len(), 3);
    assert_eq!(timing.latest(first, first.after(MINUTE * 2), 2)[0], first.after(MINUTE));
    // Seldom, and seldom in bursts.
    let yearly = Timing::new("0 0 29 2 *", "UTC").unwrap();
    assert_eq!(yearly.latest(at("2020-02-29T00:00:00Z"), until, 1), [at("2024-02-29T00:00:00Z")]);
    let burst = Timing::new("* 6 * * *", "UTC").unwrap();
    assert_eq!(burst.latest(at("2026-01-01T06:00:00Z"), until, 2)[1], at("2026-11-21T06:59:00Z"));
}

#[test]
fn jitter_is_the_same_everywhere_spread_out_and_never_beyond_the_next_firing() {
    let timing = Timing::new("* * * * *", "UTC").unwrap();
    let firing = at("2026-11-22T05:00:00Z");
    let delay = |name: &str, firing| timing.delay(&[b"acme", name.as_bytes()], firing, HOUR);
    assert_eq!(delay("a", firing), delay("a", firing));
    let delays: BTreeSet<Duration> = (0..100).map(|n| delay(&n.to_string(), firing)).collect();
    assert!(delays.len() > 95 && delays.iter().all(|delay| *delay < MINUTE));
    assert!(*delays.first().unwrap() < SECOND * 5 && *delays.last().unwrap() > SECOND * 55);
    assert_ne!(delay("a", firing), delay("a", firing.after(MINUTE)));
    assert_eq!(timing.delay(&[b"a"], firing, Duration::ZERO), Duration::ZERO);
}

#[test]
fn missed_firings_are_skipped_made_once_or_all_made() {
    let due = |catch_up| schedule("0 * * * *", catch_up, Duration::ZERO, "2026-11-22T00:30:00Z");
    let (made, after) = run(&due(CatchUp::Skip), "2026-11-22T03:10:00Z");
    assert_eq!((made, after.next.unwrap().at), (vec!["03:00".to_owned()], at("2026-11-22T04:00:00Z")));
    let dropped = Dropped { from: at("2026-11-22T01:00:00Z"), until: at("2026-11-22T03:00:00Z") };
    assert_eq!(after.dropped, Some(dropped));
    let (made, after) = run(&due(CatchUp::One), "2026-11-22T03:10:00Z");
    assert_eq!((made, after.dropped), (vec!["03:00".to_owned()], Some(dropped)));
    let (made, after) = run(&due(CatchUp::All), "2026-11-22T03:10:00Z");
    assert_eq!(
        (made, after.dropped),
        (vec!["01:00".to_owned(), "02:00".to_owned(), "03:00".to_owned()], None)
    );
    assert_eq!(after.last.unwrap().job, after.job_id(at("2026-11-22T03:00:00Z")));

    let daily = |catch_up| schedule("0 0 * * *", catch_up, Duration::ZERO, "2026-11-22T00:30:00Z");
    // More than an hour late.
    let (made, after) = run(&daily(CatchUp::Skip), "2026-11-23T01:00:01Z");
    assert_eq!((made, after.next.unwrap().at), (vec![], at("2026-11-24T00:00:00Z")));
    assert_eq!(after.dropped.unwrap().until, at("2026-11-23T01:00:01Z"));
    assert_eq!(run(&daily(CatchUp::One), "2026-11-23T12:00:00Z").0, ["00:00"]);
    assert_eq!(run(&daily(CatchUp::One), "2026-11-22T12:00:00Z").0, [""; 0]);

    let minutely = schedule("* * * * *", CatchUp::All, Duration::ZERO, "2026-11-20T00:00:00Z");
    let (made, after) = run(&minutely, "2026-11-22T05:00:00Z");
    assert_eq!((made.len(), made[0].as_str(), made[99].as_str()), (MOST_CAUGHT_UP, "03:21", "05:00"));
    assert_eq!(after.dropped.unwrap().from, at("2026-11-20T00:01:00Z"));
}

#[test]
fn a_firing_whose_jitter_has_not_passed_is_the_next_one() {
    let schedule = schedule("* * * * *", CatchUp::All, MINUTE, "2026-11-22T05:00:00Z");
    let first = schedule.next.unwrap();
    assert_eq!(work(&schedule, Timestamp::from_micros(first.at.as_micros() - 1)).unwrap().firings, []);
    let (mut now, mut one_by_one, mut made) = (first.at, schedule.clone(), Vec::new());
    while made.len() < 50 {
        let work = work(&one_by_one, now).unwrap();
        made.extend(work.firings.iter().copied());
        let answers: Vec<_> = work.jobs(&one_by_one).map(|job| Ok(Enqueued::Accepted(job.id))).collect();
        one_by_one = work.concluded(&one_by_one, &answers, now);
        now = one_by_one.next.unwrap().at;
    }
    // Looked at once at the end, it is the same.
    let at_once = work(&schedule, one_by_one.last.unwrap().at).unwrap();
    assert_eq!(at_once.firings, made);
    assert!(made.windows(2).all(|pair| pair[1] == pair[0].after(MINUTE)));
}

#[test]
fn a_refused_firing_is_tried_again_until_its_window_has_passed() {
    let refused = Refusal::TooMany { tenant: "acme".parse().unwrap(), limit: 1, retry_after: HOUR * 9 };
    let schedule = schedule("0 0 * * *", CatchUp::Skip, Duration::ZERO, "2026-11-22T12:00:00Z");
    let mut now = at("2026-11-23T00:00:00Z");
    let due = work(&schedule, now).unwrap();
    let mut after = due.concluded(&schedule, &[Err(refused.clone())], now);
    assert_eq!(after.next, Some(Next { firing: now, at: now.after(MINUTE) }));
    assert_eq!(after.trouble.as_ref().unwrap().reason, Reason::new(refused.to_string()));
    assert_eq!(after.last, None);

    // There is room.
    now = now.after(MINUTE);
    let id: JobId = after.job_id(at("2026-11-23T00:00:00Z"));
    let made = work(&after, now).unwrap().concluded(&after, &[Ok(Enqueued::Accepted(id))], now);
    assert_eq!((made.trouble, made.last.unwrap().job), (None, id));
    assert_eq!(made.next.unwrap().at, at("2026-11-24T00:00:00Z"));

    // There is none for an hour.
    after.next = Some(Next { firing: at("2026-11-23T00:00:00Z"), at: at("2026-11-23T01:00:01Z") });
    let (made, after) = run(&after, "2026-11-23T01:00:01Z");
    assert_eq!((made.len(), after.next.unwrap().at), (0, at("2026-11-24T00:00:00Z")));
    assert!(after.trouble.is_some() && after.dropped.is_some());
}

#[test]
fn a_job_that_can_never_be_taken_does_not_hold_up_the_next_one() {
    let schedule = schedule("0 * * * *", CatchUp::All, Duration::ZERO, "2026-11-22T00:30:00Z");
    let now = at("2026-11-22T01:00:00Z");
    let refused = [Err(Refusal::Invalid("too large".to_owned()))];
    let after = work(&schedule, now).unwrap().concluded(&schedule, &refused, now);
    assert_eq!((after.next.unwrap().at, after.trouble.unwrap().firing), (at("2026-11-22T02:00:00Z"), now));
}

#[test]
fn the_jobs_of_a_firing_are_told_apart_by_tenant_name_plan_and_time() {
    let one = schedule("0 * * * *", CatchUp::All, Duration::ZERO, "2026-11-22T00:30:00Z");
    let time = at("2026-11-22T01:00:00Z");
    let others = [
        Schedule { tenant: "acm".parse().unwrap(), name: "enightly".parse().unwrap(), ..one.clone() },
        Schedule { name: "other".parse().unwrap(), ..one.clone() },
        Schedule { generation: 2, ..one.clone() },
    ];
    let ids: BTreeSet<JobId> = others.iter().map(|other| other.job_id(time)).collect();
    assert!(ids.len() == 3 && !ids.contains(&one.job_id(time)));
    assert_eq!(one.job_id(time), one.clone().job_id(time));
    assert!(one.job_id(time) < one.job_id(time.after(SECOND)), "ids sort by time");
}
