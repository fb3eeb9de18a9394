//! Thresholds, windows, and what is held back.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    domain::{ManualClock, SeededRandom},
    security::{
        audit::{Action, Outcome},
        outgoing::OutgoingRules,
    },
    store::sqlite::{Database, SqliteRecords},
};

struct World {
    alerts: Alerts,
    heard: broadcast::Receiver<Alert>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let outgoing = Outgoing::new(OutgoingRules::default());
        let alerts =
            Alerts::new(AlertOptions::default(), outgoing, clock.clone(), Arc::new(SeededRandom::new(1)));
        let heard = alerts.subscribe();
        Self { alerts, heard, clock }
    }

    fn see(&self, entry: &Entry) {
        self.alerts.see(entry, self.clock.now());
    }

    fn heard(&mut self) -> Vec<(Rule, String, u64, u64)> {
        let next = std::iter::from_fn(|| self.heard.try_recv().ok());
        next.map(|alert| (alert.rule, alert.subject, alert.count, alert.held_back)).collect()
    }
}

fn refused(account: &str, address: &str) -> Entry {
    let entry = Entry::new(Action::Login).ended(Outcome::Refused).to(account);
    Entry { address: Some(address.parse().unwrap()), ..entry }
}

#[test]
fn logins_of_one_account_are_told_at_the_threshold_once_a_window_with_what_was_held_back() {
    let mut world = World::new();
    for _ in 0..4 {
        world.see(&refused("ann", "203.0.113.1"));
    }
    assert_eq!(world.heard(), []);
    world.see(&Entry::new(Action::Login).to("ann"));
    assert_eq!(world.heard(), [], "a login that was let in counts for nothing");
    for _ in 0..10 {
        world.see(&refused("ann", "203.0.113.1"));
    }
    assert_eq!(world.heard(), [(Rule::LoginsOfAccount, "ann".to_owned(), 5, 0)]);
    world.clock.advance(Duration::from_secs(601));
    for _ in 0..5 {
        world.see(&refused("ann", "203.0.113.1"));
    }
    assert_eq!(world.heard(), [(Rule::LoginsOfAccount, "ann".to_owned(), 5, 9)]);
}

/// As the door records it where the password is wrong: it does not say whether there is such an account.
#[test]
fn an_account_that_was_only_typed_counts_as_well() {
    let mut world = World::new();
    for _ in 0..5 {
        world.see(&Entry::new(Action::Login).ended(Outcome::Refused).with("account", "acme/ann"));
    }
    assert_eq!(world.heard(), [(Rule::LoginsOfAccount, "acme/ann".to_owned(), 5, 0)]);
}

#[test]
fn what_is_spread_over_a_long_time_is_not_told() {
    let mut world = World::new();
    for _ in 0..50 {
        world.see(&refused("ann", "203.0.113.1"));
        world.clock.advance(Duration::from_secs(300));
    }
    assert_eq!(world.heard(), []);
}

#[test]
fn logins_from_one_address_and_over_many_accounts_are_told() {
    let mut world = World::new();
    for n in 0..19 {
        world.see(&refused(&format!("user-{n}"), "203.0.113.1"));
    }
    assert_eq!(world.heard(), []);
    world.see(&refused("user-19", "203.0.113.1"));
    let mut heard: Vec<_> = world.heard().into_iter().map(|(rule, ..)| rule).collect();
    heard.sort_unstable();
    assert_eq!(heard, [Rule::LoginsFromAddress, Rule::LoginsSpread]);

    let mut world = World::new();
    for n in 0..40 {
        world.see(&refused(&format!("user-{}", n % 4), &format!("203.0.113.{n}")));
    }
    let heard: Vec<_> = world.heard().into_iter().map(|(rule, ..)| rule).collect();
    assert_eq!(heard, [Rule::LoginsOfAccount; 4], "four accounts are not many");
}

#[test]
fn an_entry_counts_for_as_many_as_it_stands_for() {
    let mut world = World::new();
    // As the ledger of API keys tells of refusals: the first, and then all of a minute.
    for count in [1, 60] {
        let entry = Entry::new(Action::CredentialRefused).ended(Outcome::Refused).with("stands_for", count);
        world.see(&Entry { address: Some("203.0.113.1".parse().unwrap()), ..entry });
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(world.heard(), [(Rule::LoginsFromAddress, "203.0.113.1".to_owned(), 61, 0)]);
}

#[test]
fn each_of_the_other_rules_is_told_by_its_entries() {
    let mut world = World::new();
    let acme = "acme".parse().unwrap();
    for _ in 0..2 {
        world.see(&Entry::new(Action::LimitHit).of(&acme).with("count", 99));
    }
    assert_eq!(world.heard(), []);
    world.see(&Entry::new(Action::LimitHit).of(&acme).with("count", 99));
    assert_eq!(world.heard(), [(Rule::LimitStorm, "acme".to_owned(), 297, 0)]);
    for _ in 0..3 {
        world.see(&Entry::new(Action::SuspiciousInput).of(&acme));
    }
    assert_eq!(world.heard(), [(Rule::SuspiciousInput, "acme".to_owned(), 3, 0)]);
    world.see(&Entry::new(Action::RefreshReuse).ended(Outcome::Refused).to("user:7"));
    assert_eq!(world.heard(), [(Rule::RefreshReuse, "user:7".to_owned(), 1, 0)]);
    world.see(&Entry::new(Action::TenantChanged).of(&acme));
    world.see(&Entry::new(Action::TenantChanged).of(&acme));
    assert_eq!(world.heard(), [(Rule::ConfigChange, "tenant.changed acme".to_owned(), 1, 0)]);
    world.alerts.broken("entry 7 was changed", world.clock.now());
    assert_eq!(world.heard(), [(Rule::AuditBroken, "audit log".to_owned(), 1, 0)]);
}

#[test]
fn a_hostile_name_drives_nothing_and_many_of_them_fill_no_memory() {
    let mut world = World::new();
    for n in 0..30_000 {
        world.see(&refused(&format!("\u{1b}[2J{n}\n"), "203.0.113.1"));
    }
    assert!(world.heard().iter().all(|(_, subject, ..)| !subject.chars().any(is_harmful)));
}

/// Processes on one store, by one clock.
struct Processes {
    all: Vec<World>,
    _folder: tempfile::TempDir,
}

impl Processes {
    fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all: Vec<World> = (0..count).map(|_| World::new()).collect();
        let clock = all[0].clock.clone();
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
        for process in &mut all {
            process.clock = clock.clone();
            let outgoing = Outgoing::new(OutgoingRules::default());
            let (options, random) = (AlertOptions::default(), Arc::new(SeededRandom::new(1)));
            let alerts = Alerts::new(options, outgoing, clock.clone(), random);
            process.alerts = alerts.counted_in(&records, clock.clone());
            process.heard = process.alerts.subscribe();
        }
        Self { all, _folder: folder }
    }

    /// What all of them tell, once all is counted.
    async fn heard(&mut self) -> Vec<(Rule, String, u64, u64)> {
        futures_util::future::join_all(self.all.iter().map(|process| process.alerts.settle())).await;
        self.all.iter_mut().flat_map(World::heard).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_alert_once_together_at_what_happens_to_all_of_them() {
    let mut fleet = Processes::new(4);
    for process in &fleet.all {
        process.see(&refused("ann", "203.0.113.1"));
    }
    assert_eq!(fleet.heard().await, [], "four of five");
    fleet.all[2].see(&refused("ann", "203.0.113.1"));
    assert_eq!(fleet.heard().await, [(Rule::LoginsOfAccount, "ann".to_owned(), 5, 0)]);
    // The rest of the window is held back, whoever counts it, at one time.
    for _ in 0..3 {
        for process in &fleet.all {
            process.see(&refused("ann", "203.0.113.9"));
        }
        assert_eq!(fleet.heard().await, []);
    }
    fleet.all[0].clock.advance(Duration::from_secs(601));
    for process in &fleet.all {
        process.see(&refused("ann", "203.0.113.7"));
    }
    assert_eq!(fleet.heard().await, []);
    fleet.all[1].see(&refused("ann", "203.0.113.7"));
    assert_eq!(fleet.heard().await, [(Rule::LoginsOfAccount, "ann".to_owned(), 5, 12)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_many_processes_refuse_are_counted_together() {
    let mut fleet = Processes::new(3);
    for n in 0..19 {
        fleet.all[n % 3].see(&refused(&format!("user-{n}"), &format!("203.0.113.{n}")));
    }
    fleet.all[0].see(&refused("user-1", "203.0.113.99"));
    assert_eq!(fleet.heard().await, [], "an account that two have refused is one");
    fleet.all[1].see(&refused("user-19", "203.0.113.100"));
    let heard = fleet.heard().await;
    assert_eq!(heard, [(Rule::LoginsSpread, "many accounts".to_owned(), 20, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_does_not_take_each_process_counts_for_itself() {
    let (mut world, clock) = (World::new(), Arc::new(ManualClock::at(Timestamp::EPOCH)));
    let folder = tempfile::tempdir().unwrap();
    // A store without its table.
    let database = Database::open(&folder.path().join("x.db"), &[]).unwrap();
    let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
    let outgoing = Outgoing::new(OutgoingRules::default());
    let random = Arc::new(SeededRandom::new(1));
    let alerts = Alerts::new(AlertOptions::default(), outgoing, clock.clone(), random);
    world.alerts = alerts.counted_in(&records, clock);
    world.heard = world.alerts.subscribe();
    for _ in 0..5 {
        world.see(&refused("ann", "203.0.113.1"));
    }
    world.alerts.settle().await;
    assert_eq!(world.heard(), [(Rule::LoginsOfAccount, "ann".to_owned(), 5, 0)]);
}

/// HMAC-SHA-256 by another hand: `printf '%s' '1800000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
#[test]
fn a_signature_is_what_other_programs_compute() {
    let secret: WebhookSecret = "0123456789abcdef".parse().unwrap();
    let signature = sign(&secret, Timestamp::from_millis(1_800_000_000_999), b"{\"a\":1}");
    assert_eq!(signature, "t=1800000000,v1=d3e17924cac4a72ca2ee9e5700df170fdb5733eaf69ecd909fb0c18a962b03a5");
    assert!(!format!("{secret:?}").contains("0123"));
    assert!("short".parse::<WebhookSecret>().is_err());
}
