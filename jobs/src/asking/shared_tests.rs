//! Jobs of a whole engine that ask a model: what they share, and what a tenant may spend.

use std::time::Duration;

use futures_util::StreamExt;
use presswork::{
    domain::{Cost, Day, EventBody, JobId, State, TenantId, WorkerId},
    progress::last_word,
    spending::{Measure, Totals},
    testing::TestEngine,
    worker::{Options, Registry, Worker},
};
use tokio_util::sync::CancellationToken;

use super::{
    tests::{Answers, Ask, Says, ask, said, stop, used},
    *,
};
use crate::model::Finish;

fn engine() -> TestEngine {
    TestEngine::new(Registry::new().register::<Ask>())
}

async fn output(world: &TestEngine, job: JobId) -> Answers {
    serde_json::from_value(world.job(job).await.output.unwrap().result).unwrap()
}

async fn spent(world: &TestEngine, tenant: &TenantId) -> Totals {
    world.engine().spending.report(tenant, None, None).await.unwrap().total()
}

fn shared(model: &str) -> Ask {
    Ask { caching: Caching::Shared, ..ask(model) }
}

#[tokio::test]
async fn an_identical_question_of_the_same_tenant_is_paid_for_once() {
    let model = Says::known_as("shared", vec![said("once"), used(1_000, 200), stop()]);
    let world = engine();
    let (first, second) = (world.enqueue(&shared("shared")).await, world.enqueue(&shared("shared")).await);
    let other = Ask { question: "Who else?".to_owned(), ..shared("shared") };
    let other = world.enqueue(&other).await;
    world.drain().await;
    let (first, second, other) =
        (output(&world, first).await, output(&world, second).await, output(&world, other).await);
    assert_eq!(
        (first.from_cache, second.from_cache, other.from_cache, model.asked()),
        (false, true, false, 2)
    );
    assert_eq!((&*second.text, &*second.told), ("once", "once"));
    let total = second.bill.total();
    assert_eq!((total.calls, total.cached_calls, total.cost), (0, 1, Cost::default()));
    assert_eq!(total.saved.to_string(), "0.003");
    // Who wants it afresh pays, and so does another tenant: what one has asked no other is told.
    world.enqueue(&ask("shared")).await;
    let stranger: TenantId = "stranger".parse().unwrap();
    let mut theirs = world.new_job(&shared("shared"));
    theirs.tenant = stranger.clone();
    world.enqueue_job(theirs).await;
    world.drain().await;
    assert_eq!(model.asked(), 4);
    let mine = spent(&world, world.tenant()).await;
    assert_eq!((mine.calls, mine.cached_calls, mine.cost.to_string().as_str()), (3, 1, "0.009"));
    assert_eq!((mine.input_tokens, mine.output_tokens, mine.saved), (3_000, 600, total.saved));
    assert_eq!(spent(&world, &stranger).await.calls, 1);
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_kept_for_nobody() {
    let refused = vec![said("no"), used(10, 5), Ok(crate::model::Event::Finished(Finish::Refused))];
    let model = Says::known_as("refuses", refused);
    let world = engine();
    for _ in 0..2 {
        world.enqueue(&shared("refuses")).await;
    }
    let attempts = world.drain().await;
    assert!(attempts.iter().all(|attempt| attempt.state == State::Dead), "{attempts:?}");
    assert_eq!(model.asked(), 2);
    // What was written until then is paid for.
    assert_eq!(spent(&world, world.tenant()).await.output_tokens, 10);
}

#[tokio::test]
async fn a_tenant_that_seals_finds_its_answers_again_and_nobody_reads_them_in_the_cache() {
    let model = Says::known_as("sealed", vec![said("a secret chapter"), used(1, 1), stop()]);
    let world = engine();
    world.engine().keyring.set_seals(world.tenant(), true).await.unwrap();
    let (first, second) = (world.enqueue(&shared("sealed")).await, world.enqueue(&shared("sealed")).await);
    world.drain().await;
    assert_eq!(model.asked(), 1);
    assert_eq!(output(&world, first).await.text, output(&world, second).await.text);
    let kept = world.engine().cache.tenant(world.tenant()).get(&key_of(&model)).await.unwrap();
    assert!(kept.starts_with(b"PWSE") && !kept.windows(6).any(|window| window == b"secret"));
}

/// Under which key the answer to the question of these tests is kept.
fn key_of(model: &Says) -> presswork::cache::CacheKey {
    let request = crate::model::Request::new("Who?", 100).unwrap();
    super::kept::key(crate::model::LanguageModel::facts(model), &request).unwrap()
}

#[tokio::test]
async fn a_kept_answer_that_nobody_can_read_is_asked_for_anew_and_makes_room() {
    let model = Says::known_as("spoilt", vec![said("anew"), used(1, 1), stop()]);
    let key = key_of(&model);
    // Sealed with a key that this engine has never had.
    let elsewhere = engine();
    elsewhere.engine().keyring.set_seals(elsewhere.tenant(), true).await.unwrap();
    elsewhere.enqueue(&shared("spoilt")).await;
    elsewhere.drain().await;
    let sealed = elsewhere.engine().cache.tenant(elsewhere.tenant()).get(&key).await.unwrap();
    assert!(sealed.starts_with(b"PWSE"));
    for spoilt in [sealed.clone(), sealed.slice(..20), "{\"text\": 7}".into(), "\0 no JSON".into()] {
        let (world, before) = (engine(), model.asked());
        let cache = world.engine().cache.tenant(world.tenant());
        cache.put(&key, &spoilt, Duration::from_secs(600)).await;
        let jobs = [world.enqueue(&shared("spoilt")).await, world.enqueue(&shared("spoilt")).await];
        let attempts = world.drain().await;
        assert_eq!(attempts.len(), 2, "no attempt is spent on it: {attempts:?}");
        for job in jobs {
            assert_eq!(output(&world, job).await.text, "anew");
        }
        assert_eq!(model.asked(), before + 1, "the second is answered from the cache");
        assert_eq!(world.engine().cache.statistics().errors, 1);
        assert_ne!(cache.get(&key).await.unwrap(), spoilt);
    }
}

#[tokio::test]
async fn an_answer_of_no_use_is_kept_for_nobody_and_one_that_was_kept_is_asked_for_anew() {
    let model = Says::known_as("useless", vec![said("hm"), used(1, 1), stop()]);
    let world = engine();
    let wants = |wanted: &str| Ask { wanted: wanted.to_owned(), ..shared("useless") };
    for asked in 1..=2 {
        let job = world.enqueue(&wants("a chapter")).await;
        world.drain().await;
        let answer = output(&world, job).await;
        assert_eq!((&*answer.text, answer.from_cache, model.asked()), ("hm", false, asked));
        assert_eq!(answer.bill.total().calls, 1, "it is paid for");
    }
    // To somebody else it is of use, and is kept.
    for _ in 0..2 {
        world.enqueue(&wants("hm")).await;
        world.drain().await;
    }
    assert_eq!(model.asked(), 3);
    world.enqueue(&wants("a chapter")).await;
    world.drain().await;
    assert_eq!(model.asked(), 4);
}

#[tokio::test]
async fn a_job_whose_tenant_has_used_its_budget_says_so_and_goes_on_the_next_day() {
    // 100 tokens of answer at most, and the question's: some 0.001 set aside for each.
    let model = Says::known_as("budgeted", vec![said("a"), used(20, 90), stop()]);
    let world = engine();
    let budgets = world.engine().spending.budgets();
    budgets.set(world.tenant(), Measure::Daily, Some(2_200_000)).await.unwrap();
    let jobs = [world.enqueue(&ask("budgeted")).await, world.enqueue(&ask("budgeted")).await];
    let late = world.enqueue(&ask("budgeted")).await;
    world.pass(Duration::ZERO).await;
    for job in jobs {
        assert_eq!(world.job(job).await.state, State::Completed);
    }
    let put_off = world.job(late).await;
    assert_eq!((put_off.state, put_off.attempt, model.asked()), (State::Scheduled, 0, 2));
    let word = last_word(&*world.engine().progress, world.tenant(), late).await.unwrap().unwrap();
    assert!(word.contains("the daily budget of 0.0022 is used up"), "{word}");
    let begun = world.engine().clock.now();
    world.drain().await;
    let finished = world.job(late).await;
    assert_eq!((finished.state, finished.attempt, model.asked()), (State::Completed, 1, 3));
    assert_eq!(Day::of(world.engine().clock.now()), Day::of(begun).later(1));
    // One that is raised is noticed within minutes.
    budgets.set(world.tenant(), Measure::Daily, Some(1_500_000)).await.unwrap();
    let waits = world.enqueue(&ask("budgeted")).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.job(waits).await.state, State::Scheduled);
    budgets.set(world.tenant(), Measure::Daily, None).await.unwrap();
    world.pass(Duration::from_secs(700)).await;
    assert_eq!(world.job(waits).await.state, State::Completed);
}

#[tokio::test]
async fn a_budget_of_money_lets_nothing_through_whose_price_nobody_knows() {
    let model = Says::known_as("unpriced", vec![said("a"), stop()]);
    let world = engine();
    world.engine().spending.budgets().set(world.tenant(), Measure::Monthly, Some(u64::MAX)).await.unwrap();
    let job = world.enqueue(&Ask { is_priced: false, ..ask("unpriced") }).await;
    world.drain().await;
    let job = world.job(job).await;
    assert_eq!((job.state, model.asked()), (State::Dead, 0));
    assert!(job.reason.unwrap().as_str().contains("has no price: give it one in [models]"));
}

/// A worker of the engine's own, as long as the work takes.
async fn while_it_works<T>(world: &TestEngine, work: impl Future<Output = T>) -> T {
    let registry = std::sync::Arc::new(Registry::new().register::<Ask>());
    let parts = world.engine().parts(registry).await.unwrap();
    let mut options = Options::new(WorkerId::new("test"));
    options.beat = Duration::from_millis(5);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let worker = Worker::new(parts, options).unwrap();
    let running = tokio::spawn(async move { worker.run(stopped.cancelled()).await });
    let done = work.await;
    stop.cancel();
    running.await.unwrap().unwrap();
    done
}

async fn ended(world: &TestEngine, job: JobId) -> State {
    let mut events = world.engine().progress.follow(world.tenant(), job, 0).await.unwrap();
    while events.next().await.is_some() {}
    world.job(job).await.state
}

async fn until_it_runs(world: &TestEngine, job: JobId) {
    let mut events = world.engine().progress.follow(world.tenant(), job, 0).await.unwrap();
    loop {
        match events.next().await.unwrap().unwrap().body {
            EventBody::State { state: State::Running, .. } => return,
            other => assert!(!other.is_last(), "it has ended: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_the_same_at_once_one_pays() {
    let model = Says::held("held", vec![said("the"), said(" same"), used(10, 2), stop()]);
    let world = TestEngine::on_system_clock(Registry::new().register::<Ask>());
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(world.enqueue(&shared("held")).await);
    }
    while_it_works(&world, async {
        model.until_asked().await;
        model.let_go();
        for job in &jobs {
            assert_eq!(ended(&world, *job).await, State::Completed);
        }
    })
    .await;
    assert_eq!(model.asked(), 1);
    let mut paid = 0;
    for job in jobs {
        let answers = output(&world, job).await;
        assert_eq!((&*answers.text, &*answers.told), ("the same", "the same"));
        paid += u32::from(!answers.from_cache);
    }
    let total = spent(&world, world.tenant()).await;
    assert_eq!((paid, total.calls, total.cached_calls), (1, 1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_closes_the_stream_at_once_and_says_what_was_spent() {
    let model = Says::held_after("cancelled", vec![said("some words of an answer")], vec![stop()]);
    let world = TestEngine::on_system_clock(Registry::new().register::<Ask>());
    let asks = world.enqueue(&shared("cancelled")).await;
    let waits = while_it_works(&world, async {
        model.until_asked().await;
        // Nobody but the first asks, and it is cancelled last: the other would ask in its place.
        let waits = world.enqueue(&shared("cancelled")).await;
        until_it_runs(&world, waits).await;
        for job in [waits, asks] {
            world.engine().queue.cancel(world.tenant(), &[job]).await.unwrap();
            assert_eq!(ended(&world, job).await, State::Cancelled);
        }
        waits
    })
    .await;
    assert_eq!((model.asked(), model.open_streams()), (1, 0));
    let total = spent(&world, world.tenant()).await;
    assert_eq!((total.calls, total.estimated_calls, total.lost_calls), (1, 1, 0));
    assert!(total.output_tokens > 0 && total.output_tokens < 100, "{total:?}");
    let standing = world.engine().spending.standings(world.tenant()).await.unwrap()[0];
    assert_eq!(standing.reserved, 0);
    let word = last_word(&*world.engine().progress, world.tenant(), asks).await.unwrap().unwrap();
    assert!(word.starts_with("stopped: 1 call; "), "{word}");
    // Who only waited has nothing to pay.
    let word = last_word(&*world.engine().progress, world.tenant(), waits).await.unwrap();
    assert!(word.is_none_or(|word| !word.contains("1 call")), "the other has asked as well");
}
