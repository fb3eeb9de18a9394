//! Whole books: written, interrupted and gone on with, revised, planned by nobody.

use object_store::memory::InMemory;
use presswork::domain::Failure;

use super::{
    server::{Question, Reply, Server, novelist, number, prose},
    *,
};

#[tokio::test]
async fn a_book_is_planned_written_in_order_and_seen_as_it_comes() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    character(&storage, json!({"id": "ann", "name": "Ann", "role": "heroine", "appearance": "tall"})).await;
    character(&storage, json!({"id": "bob", "name": "Bob", "description": "never there"})).await;
    let mut order = generate(3);
    order.brief.characters = vec!["Ann".into(), "bob".into()];
    order.brief.premise = "Somebody goes on.".into();
    let ran = server.job(order).on_storage(storage.clone()).run().await.unwrap();
    let output = result(&ran);
    assert_eq!((&output["chapters"], &output["title"]), (&json!(3), &json!("The Book")), "{output}");
    assert_eq!(output["warnings"], json!([]));
    assert!(output["words"].as_u64() >= Some(300), "{output}");
    // A plan, three chapters, two summaries; nobody needs the last one.
    assert_eq!((&output["bill"]["total"]["calls"], server.asked().len()), (&json!(6), 6), "{output}");
    assert!(output["bill"]["cost"].is_string(), "{output}");

    let written = chapters(&storage, "p").await;
    assert!(written[1].starts_with("# Title 2\n\nThis is chapter 2."), "{}", written[1]);
    assert_eq!(written.len(), 3);
    let files = files(&storage, "p").await;
    let names: Vec<&str> = files.iter().map(|file| file.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "book.json",
            "ann.json",
            "bob.json",
            "0001-title-1.md",
            "0002-title-2.md",
            "0003-title-3.md",
            "outline.json"
        ]
    );
    let outline = Outline::read(&*project(&storage, "p")).await.unwrap().unwrap();
    assert_eq!(outline.chapters[0].summary, "Summary 1 tells what has happened until now.");
    assert_eq!(outline.brief.unwrap().premise, "Somebody goes on.");
    let reader = ProjectReader::open(project(&storage, "p")).await.unwrap();
    assert_eq!(
        (&*reader.book().metadata.title, &reader.book().metadata.authors),
        ("The Book", &vec!["Nobody".to_owned()])
    );

    // What each question says.
    let asked = server.asked();
    assert!(asked[0].text.contains("- Bob. never there") && asked[0].system.contains("plans a book"));
    let last = &asked[5].text;
    for part in [
        "Write chapter 3 of 3",
        "1. Title 1: Plan 1 of Ann.",
        "1. Summary 1 tells",
        "2. Summary 2 tells",
        "Ann, heroine",
        "And then she went on.",
        "Somebody goes on.",
    ] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
    assert!(!last.contains("never there"), "Bob is in no plan: {last}");

    // And what subscribers are told.
    let told = told(&ran);
    assert!(
        told.starts_with("# Title 1\n\nThis is chapter 1.")
            && told.contains("# Title 3\n\nThis is chapter 3."),
        "{told}"
    );
    assert!(!told.contains("Summary"), "{told}");
    let messages = messages(&ran);
    for message in
        ["writing chapter 1 of 3: Title 1", "writing chapter 3 of 3: Title 3", "the book is written"]
    {
        assert!(messages.iter().any(|told| told == message), "{message}: {messages:?}");
    }
}

/// Runs attempt after attempt, each on the checkpoint of the one before, until one is done.
async fn attempts(server: &Server, order: &Generate, storage: &Arc<dyn ObjectStore>) -> Vec<Ran> {
    let mut all: Vec<Ran> = Vec::new();
    for attempt in 1..=9 {
        let mut job = server.job(order.clone()).on_storage(storage.clone()).attempt(attempt);
        if let Some(checkpoint) = all.last().and_then(|ran| ran.checkpoint::<Value>()) {
            job = job.from_checkpoint(&checkpoint);
        }
        let ran = job.run().await.unwrap();
        let is_done = !matches!(ran.result, Err(Failure::Retry { .. } | Failure::Snooze { .. }));
        all.push(ran);
        if is_done {
            return all;
        }
    }
    panic!("never done");
}

#[tokio::test]
async fn wherever_it_is_interrupted_nothing_that_was_finished_is_asked_for_again() {
    let mut order = generate(3);
    order.revision = true;
    let undisturbed = Server::new(|question, _| novelist(question)).await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    attempts(&undisturbed, &order, &storage).await;
    let (whole, questions) = (chapters(&storage, "p").await, undisturbed.asked().len());
    assert_eq!(questions, 1 + 3 + 3 + 2);
    for fails in 0..questions {
        let server = Server::new(
            move |question, before| if before == fails { Reply::Fails(500) } else { novelist(question) },
        )
        .await;
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let ran = attempts(&server, &order, &storage).await;
        assert_eq!((ran.len(), server.asked().len()), (2, questions + 1), "question {fails}");
        for number in 1..=3 {
            for (what, part) in [("text", "Write chapter "), ("revision", "Revise chapter ")] {
                let part = format!("{part}{number}");
                let failed = usize::from(server.asked()[fails].text.contains(&part));
                assert_eq!(server.count(&part), 1 + failed, "{what} of chapter {number}");
            }
        }
        assert_eq!(chapters(&storage, "p").await, whole, "question {fails}");
        let output = result(&ran[1]);
        assert_eq!(output["bill"]["total"]["calls"], json!(questions), "{output}");
        assert!(
            files(&storage, "p").await.iter().all(|file| !file.contains("state") && !file.contains("draft"))
        );
        let again = messages(&ran[1]);
        // Of reports without text between them only the last may be told.
        let is_text =
            ["Write chapter", "Revise chapter"].iter().any(|part| server.asked()[fails].text.contains(part));
        assert!(!is_text || again[0].contains(" anew chapter "), "{again:?}");
    }
}

#[tokio::test]
async fn what_is_written_can_be_read_before_the_book_is_whole_and_another_book_stays_until_then() {
    let server =
        Server::new(|question, before| if before >= 4 { Reply::Fails(503) } else { novelist(question) })
            .await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let ran = server.job(generate(5)).on_storage(storage.clone()).run().await.unwrap();
    // It has got on, so that this costs no attempt; one that has not costs one.
    assert!(matches!(ran.result, Err(Failure::Snooze { .. })), "{:?}", ran.result);
    let again = server.job(generate(5)).on_storage(storage.clone()).attempt(2);
    let again = again.from_checkpoint(&ran.checkpoint::<Value>().unwrap()).run().await.unwrap();
    assert!(matches!(again.result, Err(Failure::Retry { .. })), "{:?}", again.result);
    assert_eq!(chapters(&storage, "p").await.len(), 2);

    // Another job, into the same project: the two chapters are another book to it.
    let server =
        Server::new(|question, before| if before == 4 { Reply::Fails(503) } else { novelist(question) })
            .await;
    let mut order = generate(3);
    order.brief.title = "Another".into();
    let order_json = serde_json::to_value(&order).unwrap();
    let other = |order: Generate| server.job(order).on_storage(storage.clone()).seed(7);
    let ran = other(order).run().await.unwrap();
    assert!(ran.result.is_err());
    let title =
        async || ProjectReader::open(project(&storage, "p")).await.unwrap().book().metadata.title.clone();
    assert_eq!((title().await, chapters(&storage, "p").await.len()), ("The Book".into(), 2));
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    let ran = other(serde_json::from_value(order_json).unwrap())
        .attempt(2)
        .from_checkpoint(&checkpoint)
        .run()
        .await
        .unwrap();
    assert_eq!(result(&ran)["chapters"], json!(3));
    assert_eq!((title().await, chapters(&storage, "p").await.len()), ("Another".into(), 3));
    let revisions: std::collections::BTreeSet<String> = files(&storage, "p")
        .await
        .iter()
        .filter_map(|file| {
            file.split_once('/').map(|(folder, _)| folder.rsplit_once('-').unwrap().0.to_owned())
        })
        .collect();
    assert_eq!(revisions.len(), 1, "the old revision is gone: {revisions:?}");
}

#[tokio::test]
async fn chapters_are_revised_by_another_model_and_a_bad_revision_is_not_taken() {
    let server = Server::new(|question, _| match &question.text {
        text if text.contains("Revise chapter 2") => Reply::Says("Fine as it is.".into()),
        text if text.contains("Revise chapter 3") => Reply::Cut(prose("a longer one", 90)),
        _ => novelist(question),
    })
    .await;
    let mut order = generate(3);
    (order.revision, order.revision_model) = (true, Some("editor".into()));
    let ran = server.job(order).run().await.unwrap();
    let written = chapters(&ran.storage, "p").await;
    assert!(
        written[0].contains("This is revision 1.") && written[1].contains("This is chapter 2."),
        "{written:?}"
    );
    assert!(written[2].contains("This is chapter 3."));
    let warnings = result(&ran)["warnings"].to_string();
    assert!(
        warnings.contains("chapter 2 is kept as it was before") && warnings.contains("chapter 3 is kept"),
        "{warnings}"
    );
    let by_editor = |question: &&Question| question.model == "editor";
    let asked = server.asked();
    assert_eq!(asked.iter().filter(by_editor).count(), 3);
    assert!(asked.iter().filter(by_editor).all(|question| question.text.contains("Revise chapter")));
    let bill = &result(&ran)["bill"]["models"];
    assert_eq!((&bill["editor"]["calls"], &bill["m"]["calls"]), (&json!(3), &json!(6)), "{bill}");
}

#[tokio::test]
async fn a_revision_of_which_nothing_comes_leaves_the_chapter_as_it_was() {
    let server = Server::new(|question, _| match &question.text {
        text if text.contains("Revise chapter") => Reply::Says(" \n".into()),
        _ => novelist(question),
    })
    .await;
    let mut order = generate(2);
    order.revision = true;
    let ran = server.job(order).run().await.unwrap();
    assert_eq!(result(&ran)["chapters"], json!(2), "{:?}", ran.result);
    let written = chapters(&ran.storage, "p").await;
    assert!(written[0].contains("This is chapter 1.") && written[1].contains("This is chapter 2."));
    let warnings = result(&ran)["warnings"].to_string();
    assert!(warnings.contains("chapter 2 is kept as it was before its revision: the model wrote no text"));
    assert_eq!(server.count("Revise chapter 1"), 3, "and no attempt after it");
}

#[tokio::test]
async fn a_model_that_plans_nothing_still_gets_a_book_written() {
    let server = Server::new(|question, _| match &question.text {
        text if text.contains("Plan the book") => Reply::Says("the sea the sea the sea".into()),
        text if text.contains("Sum up") => Reply::Says("no".into()),
        _ => novelist(question),
    })
    .await;
    let ran = server.job(generate(2)).run().await.unwrap();
    assert_eq!(server.count("Plan the book"), 2);
    assert!(server.asked()[1].text.contains("Answer with the JSON alone"));
    assert!(result(&ran)["warnings"][0].as_str().unwrap().contains("gave no plan"), "{:?}", ran.result);
    assert!(chapters(&ran.storage, "p").await[1].starts_with("# 2\n\nThis is chapter 2."));
    // In place of the summary, the chapter's own sentences.
    assert!(
        server.asked().last().unwrap().text.contains("1. This is chapter 1. And then"),
        "{:?}",
        server.asked().last()
    );

    let none = Server::new(|question, _| {
        if question.text.contains("Write chapter 2") { Reply::Says(" \n".into()) } else { novelist(question) }
    })
    .await;
    let ran = none.job(generate(2)).run().await.unwrap();
    let asked = "chapter 2: the model m was asked 3 times";
    // This attempt has got on, and costs none; the next one does, so that it comes to an end.
    let Err(Failure::Snooze { reason, .. }) = &ran.result else { panic!("{:?}", ran.result) };
    assert!(reason.as_str().contains(asked), "{reason}");
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    let again = none.job(generate(2)).on_storage(ran.storage.clone()).attempt(2);
    let again = again.from_checkpoint(&checkpoint).run().await.unwrap();
    let Err(Failure::Retry { reason, .. }) = &again.result else { panic!("{:?}", again.result) };
    assert!(reason.as_str().contains(asked), "{reason}");
    assert_eq!(chapters(&ran.storage, "p").await.len(), 1, "what is finished stays");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_gone_on_with_and_at_last_cut_at_a_sentence() {
    let server = Server::new(|question, _| {
        let text = &question.text;
        if text.contains("Write chapter 1") {
            Reply::Cut("It was late. She was abo".into())
        } else if text.contains("Go on with chapter 1") {
            assert!(text.contains("The text ends so:\n\nIt was late."), "{text}");
            Reply::Says(prose("the rest", 90))
        } else if text.contains("chapter 2 of 2") && text.contains("Write")
            || text.contains("Go on with chapter 2")
        {
            Reply::Cut("Then it went on. And on and".into())
        } else {
            novelist(question)
        }
    })
    .await;
    let ran = server.job(generate(2)).run().await.unwrap();
    let written = chapters(&ran.storage, "p").await;
    assert!(written[0].contains("It was late. This is the rest."), "{}", written[0]);
    assert!(written[1] == "# Title 2\n\nThen it went on.\n", "{}", written[1]);
    assert_eq!(server.count("Go on with chapter 1"), 1);
    // The same again, from the cache.
    assert_eq!(server.count("Go on with chapter 2"), 1);
    let warnings = result(&ran)["warnings"].to_string();
    assert!(warnings.contains("chapter 2 was cut") && warnings.contains("chapter 2 has"), "{warnings}");
}

#[tokio::test]
async fn a_narrow_model_is_told_less_and_its_chapters_are_put_together() {
    let server = Server::new(|question, _| {
        assert!(question.most_tokens <= 300);
        novelist(question)
    })
    .await;
    let mut order = generate(4);
    order.model = "narrow".into();
    order.brief.premise = "A long story. ".repeat(400);
    order.brief.notes = "Mind the details. ".repeat(400);
    let ran = server.job(order).run().await.unwrap();
    assert_eq!(result(&ran)["chapters"], json!(4), "{:?}", ran.result);
    for question in server.asked() {
        let tokens = crate::model::tokens(&question.text) + crate::model::tokens(&question.system);
        assert!(tokens + question.most_tokens <= 1_400, "{tokens}");
    }
    assert_eq!(number(&server.asked().last().unwrap().text, "Write chapter "), 4);
}
