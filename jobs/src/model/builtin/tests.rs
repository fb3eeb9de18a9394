//! The built-in model, asked as jobs ask it.

use std::time::Duration;

use futures_util::poll;
use tokio::time::timeout;

use super::*;
use crate::model::{Finish, Message, Role, Spent, Usage};

const PROMPT: &str = "Write the first chapter of a novel about the keeper of a lighthouse, Ada Byron, and her friend Hugo Sand.";

fn request(text: &str, tokens: u32) -> Request {
    Request::new(text, tokens).unwrap()
}

async fn text(request: &Request) -> (String, Finish, Spent) {
    let mut answer = Builtin::new().ask(request);
    let text = answer.text().await.unwrap();
    (text, answer.finish().unwrap().clone(), answer.spent())
}

#[tokio::test]
async fn the_same_request_gives_the_same_text_and_another_gives_another() {
    let first = request(PROMPT, 60);
    let once = text(&first).await;
    assert_eq!(text(&first).await, once);
    for other in [
        request(&format!("{PROMPT} "), 60),
        request(PROMPT, 61),
        first.clone().system("You write."),
        Request { temperature: Some(1.1), ..first.clone() },
        Request { top_p: Some(0.5), ..first.clone() },
        Request { stop: vec!["zzz".to_owned()], ..first.clone() },
    ] {
        assert_ne!(text(&other).await.0, once.0, "{other:?}");
    }
}

#[tokio::test]
async fn a_text_has_words_sentences_and_paragraphs_and_says_what_it_took() {
    let (text, finish, spent) = text(&request(PROMPT, 600)).await;
    let words = text.split_whitespace().count();
    assert!((200..600).contains(&words), "{words}");
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    assert!(paragraphs.len() > 1, "{text}");
    for paragraph in &paragraphs {
        assert!(paragraph.starts_with(|c: char| c.is_ascii_uppercase() || c == '"'), "{paragraph}");
        assert_eq!(paragraph.trim(), *paragraph);
    }
    assert!(text.matches(". ").count() > 5, "{text}");
    // People of the request, none of the novels.
    assert!(["Ada", "Byron", "Hugo", "Sand"].iter().any(|name| text.contains(name)), "{text}");
    assert!(!["Emma", "Darcy", "Ahab"].iter().any(|name| text.contains(name)), "{text}");
    // It ends where a paragraph does, in its last quarter, or where it is cut.
    let Spent { usage: Usage { input, cache_read: 0, cache_write: 0, output }, is_estimate: false } = spent
    else {
        panic!("{spent:?}")
    };
    assert!((20..100).contains(&input));
    match finish {
        Finish::Stop => assert!((451..=600).contains(&output)),
        finish => assert_eq!((finish, output), (Finish::Length, 600)),
    }
}

#[tokio::test]
async fn pieces_come_while_the_rest_is_still_being_written() {
    let mut answer = Builtin::new().ask(&request(PROMPT, 200));
    let mut pieces = 0;
    while let Some(piece) = answer.next().await.unwrap() {
        assert!(piece.len() < 400, "{piece}");
        if pieces == 0 {
            assert!(answer.finish().is_none() && answer.spent().is_estimate);
            assert!(answer.spent().usage.output < 200);
        }
        pieces += 1;
    }
    assert!(pieces > 4, "{pieces}");
    assert!(answer.finish().is_some());
}

#[tokio::test]
async fn it_stops_before_what_it_is_to_stop_at() {
    let plain = Request { temperature: Some(0.0), ..request(PROMPT, 100) };
    let (whole, ..) = text(&plain).await;
    // Without chances a stop changes nothing but the end.
    let stop: String = whole.chars().skip(40).take(9).collect();
    let (cut, finish, spent) = text(&Request { stop: vec!["zzz".to_owned(), stop.clone()], ..plain }).await;
    assert_eq!((&*cut, finish), (whole.split(&stop).next().unwrap(), Finish::Stop));
    assert!(spent.usage.output < 60 && !spent.is_estimate);
}

#[tokio::test]
async fn a_length_of_one_is_one_and_none_is_longer_than_the_longest() {
    let (_, finish, spent) = text(&request(PROMPT, 1)).await;
    assert_eq!((finish, spent.usage.output), (Finish::Length, 1));
    let weights = Weights::built_in().unwrap();
    let mut writer = Writer::new(weights, &request(PROMPT, u32::MAX), 20, 1);
    let finish = loop {
        if let Some(finish) = writer.step().finish {
            break finish;
        }
    };
    assert!(writer.used().1 <= 20 && writer.used().1 > 15, "{finish:?}");
}

#[tokio::test]
async fn whatever_is_asked_is_answered_and_only_its_end_is_read() {
    let huge = "The sea was calm, and Anna went out. ".repeat(200_000);
    let controls: String = (0..0x20_u8).chain([0x7f]).map(char::from).chain(['x']).collect();
    let every: String = (0..=char::MAX as u32).step_by(97).filter_map(char::from_u32).collect();
    for hostile in
        [&huge, &controls, &every, "\u{feff}\u{202e}\u{0}", "日本語", "{{\"a\":[[[[", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "\\", "'"]
    {
        let (text, _, spent) = text(&request(hostile, 20)).await;
        assert!(!text.is_empty() && text.is_ascii() || text.contains('—'), "{text}");
        assert!(spent.usage.input <= 514, "{spent:?}");
    }
    // What comes last counts.
    let before = |start: &str| Request { temperature: Some(0.0), ..request(&format!("{start}{huge}"), 20) };
    assert_eq!(text(&before("a")).await.0, text(&before("b")).await.0);
    let conversation = Request {
        messages: [Role::User, Role::Assistant, Role::User]
            .map(|role| Message { role, text: "And then?".to_owned() })
            .into(),
        ..request("x", 20)
    };
    assert!(!text(&conversation).await.0.is_empty());
    for nothing in [
        Request { messages: Vec::new(), ..request("x", 1) },
        Request { max_output_tokens: 0, ..request("x", 1) },
    ] {
        let mut answer = Builtin::new().ask(&nothing);
        assert!(matches!(answer.next().await, Err(ModelError::Request(_))));
        assert_eq!(answer.spent(), Spent::default());
    }
}

#[tokio::test]
async fn no_more_are_worked_at_than_there_are_cores_and_the_runtime_goes_on_meanwhile() {
    let cores = u32::try_from(thread::available_parallelism().unwrap().get()).unwrap();
    let all = CORES.acquire_many(cores).await.unwrap();
    let mut answer = Builtin::new().ask(&request(PROMPT, 40));
    {
        let mut waits = Box::pin(answer.next());
        for _ in 0..10 {
            assert!(poll!(&mut waits).is_pending());
            tokio::task::yield_now().await;
        }
        // Given up while it waits, it has lost nothing.
    }
    drop(all);
    // On this one thread both go on: were the work done here, nothing else would get to it.
    let mut others = 0;
    {
        let mut whole = Box::pin(answer.text());
        while poll!(&mut whole).is_pending() {
            others += 1;
            tokio::task::yield_now().await;
        }
    }
    assert!(others > 10 && answer.finish().is_some());
}

#[tokio::test]
async fn an_answer_that_is_dropped_is_not_worked_at_any_more() {
    let cores = u32::try_from(thread::available_parallelism().unwrap().get()).unwrap();
    let mut answers: Vec<Answer> =
        (0..20).map(|number| Builtin::new().ask(&request(&format!("{PROMPT} {number}"), 16_000))).collect();
    for answer in &mut answers {
        assert!(answer.next().await.unwrap().is_some());
        assert!(poll!(Box::pin(answer.next())).is_pending());
    }
    drop(answers);
    // They would take minutes.
    let freed = timeout(Duration::from_secs(20), CORES.acquire_many(cores)).await;
    assert!(freed.expect("the cores are free again").is_ok());
    let weights = Weights::built_in().unwrap();
    let stopped = CancellationToken::new();
    let (writer, step) = work(Box::new(Writer::new(weights, &request("x", 100), 100, 1)), &stopped);
    assert!(writer.used().1 > 0 && step.finish.is_none());
    stopped.cancel();
    let written = writer.used();
    let (writer, step) = work(writer, &stopped);
    assert_eq!((writer.used(), &*step.text), (written, ""));
}

#[tokio::test]
async fn the_text_of_a_request_is_the_same_on_every_machine() {
    let (text, finish, _) = text(&request(PROMPT, 40)).await;
    assert_eq!(
        (&*text, finish),
        (
            "\"Have you no further purposes!—I am glad to have been a nice 'poor, for we shall be a very unconce",
            Finish::Length
        )
    );
}
