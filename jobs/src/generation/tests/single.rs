//! Single steps, one after the other on one project.

use object_store::memory::InMemory;
use presswork::domain::Failure;

use super::{
    server::{Reply, Server, novelist},
    *,
};
use crate::generation::steps::{CharacterSheet, Continuation, Rewrite, Synopsis, WriteChapter, WriteOutline};

/// Runs one to its end, as another job each time.
async fn done<K: presswork::worker::Kind>(
    server: &Server,
    storage: &Arc<dyn ObjectStore>,
    seed: u64,
    json: Value,
) -> Ran {
    let ran = server.job(payload::<K>(json)).on_storage(storage.clone()).seed(seed).run().await.unwrap();
    assert!(ran.result.is_ok(), "{:?}", ran.result);
    ran
}

/// Runs one that can't be.
async fn refused<K: presswork::worker::Kind>(
    server: &Server,
    storage: &Arc<dyn ObjectStore>,
    json: Value,
) -> String {
    let ran = server.job(payload::<K>(json)).on_storage(storage.clone()).seed(99).run().await.unwrap();
    match ran.result {
        Err(Failure::Fatal(reason)) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_book_comes_of_single_steps_each_of_which_is_a_job() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let brief = json!({"title": "Steps", "chapters": 3, "words": 100, "premise": "Of steps."});
    let on = |more: Value| {
        let mut json = json!({"project": "p", "model": "m"});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json
    };
    let ran = done::<WriteOutline>(&server, &storage, 1, on(json!({"brief": brief}))).await;
    assert_eq!(result(&ran)["chapters"], json!(["Title 1", "Title 2", "Title 3"]));
    assert!(ran.text("outline.json").unwrap().contains("Plan 2 of Ann."));

    done::<CharacterSheet>(&server, &storage, 2, on(json!({"name": "Ann", "notes": "tall"}))).await;
    let asked = server.asked().last().unwrap().text.clone();
    assert!(
        asked.contains("the book \"Steps\"") && asked.contains("Of steps.") && asked.contains("tall"),
        "{asked}"
    );
    let ann = Characters::of(project(&storage, "p")).get(&"ann".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((&*ann.role, ann.traits.len()), ("heroine", 1));
    let questions = server.asked().len();
    let again = refused::<CharacterSheet>(&server, &storage, on(json!({"name": "Ann"}))).await;
    assert!(again.contains("say replace") && server.asked().len() == questions, "{again}");

    let ran = done::<WriteChapter>(&server, &storage, 3, on(json!({}))).await;
    assert_eq!((&result(&ran)["chapter"], &result(&ran)["title"]), (&json!(1), &json!("Title 1")));
    assert!(ran.text("chapter.md").unwrap().starts_with("# Title 1\n\nThis is chapter 1."));
    let ran =
        done::<WriteChapter>(&server, &storage, 4, on(json!({"words": 50, "plan": "Ann meets a bear."})))
            .await;
    assert_eq!(result(&ran)["chapter"], json!(2));
    let asked = server.asked().last().unwrap().text.clone();
    assert!(
        asked.contains("about 50 words") && asked.contains("What happens in it: Ann meets a bear."),
        "{asked}"
    );
    assert!(asked.contains("1. This is chapter 1."), "what has happened is told: {asked}");
    let wrong = refused::<WriteChapter>(&server, &storage, on(json!({"chapter": 1}))).await;
    assert!(wrong.contains("chapter 1 is written already"), "{wrong}");
    let wrong = refused::<WriteChapter>(&server, &storage, on(json!({"chapter": 9, "title": "x"}))).await;
    assert!(wrong.contains("the next one is chapter 3"), "{wrong}");

    let rewrite = on(json!({"chapter": 1, "instruction": "Make it rain.", "characters": ["ann"]}));
    done::<Rewrite>(&server, &storage, 5, rewrite).await;
    let asked = server.asked().last().unwrap().text.clone();
    assert!(
        asked.contains("Make it rain.")
            && asked.contains("This is chapter 1.")
            && asked.contains("Ann, heroine"),
        "{asked}"
    );
    done::<Continuation>(&server, &storage, 6, on(json!({"words": 50}))).await;
    let written = chapters(&storage, "p").await;
    assert!(written[0].starts_with("# Title 1\n\nThis is the rewritten chapter."), "{}", written[0]);
    let (before, behind) = written[1].split_once("\n\nThis is what comes next.").unwrap();
    assert!(before.starts_with("# Title 2\n\nThis is chapter 2.") && !behind.is_empty());

    let ran = done::<Synopsis>(&server, &storage, 7, on(json!({"describe": true}))).await;
    assert_eq!(result(&ran)["synopsis"], json!("Ann goes on and on, until she arrives."));
    let book = ProjectReader::open(project(&storage, "p")).await.unwrap().book().clone();
    assert_eq!(book.metadata.description, "Ann goes on and on, until she arrives.");
    assert_eq!(book.chapters.len(), 2);
    let chapters = files(&storage, "p").await.into_iter().filter(|file| file.contains("/chapters/")).count();
    assert_eq!(chapters, 4, "what was replaced stays until a book takes this one's place");
}

#[tokio::test]
async fn an_attempt_that_crashed_behind_its_answer_does_not_ask_again_nor_write_twice() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    server.job(generate(2)).on_storage(storage.clone()).run().await.unwrap();
    let asked = server.asked().len();
    for (seed, json) in [(11, json!({"words": 50})), (12, json!({"chapter": 1, "words": 50}))] {
        let payload = || {
            payload::<Continuation>({
                let mut json = json.clone();
                json.as_object_mut()
                    .unwrap()
                    .extend([("project".into(), "p".into()), ("model".into(), "m".into())]);
                json
            })
        };
        let ran = server.job(payload()).on_storage(storage.clone()).seed(seed).run().await.unwrap();
        let (whole, checkpoint) = (chapters(&storage, "p").await, ran.checkpoint::<Value>().unwrap());
        let again = server
            .job(payload())
            .on_storage(storage.clone())
            .seed(seed)
            .attempt(2)
            .from_checkpoint(&checkpoint);
        let again = again.run().await.unwrap();
        assert_eq!(result(&again)["words"], result(&ran)["words"]);
        assert_eq!(chapters(&storage, "p").await, whole);
    }
    let added: WriteChapter = payload(json!({"project": "p", "model": "m", "title": "Added"}));
    let ran = server.job(added.clone()).on_storage(storage.clone()).seed(13).run().await.unwrap();
    let checkpoint = ran.checkpoint::<Value>().unwrap();
    let again = server
        .job(added)
        .on_storage(storage.clone())
        .seed(13)
        .attempt(2)
        .from_checkpoint(&checkpoint)
        .run()
        .await
        .unwrap();
    assert_eq!(result(&again)["chapter"], json!(3), "{:?}", again.result);
    assert_eq!(chapters(&storage, "p").await.len(), 3);
    assert_eq!(server.asked().len(), asked + 3);
}

#[tokio::test]
async fn a_rewrite_that_does_not_fit_leaves_the_chapter_alone_and_what_there_is_not_is_said() {
    let server = Server::new(|question, _| match novelist(question) {
        Reply::Says(text) if question.text.contains("Rewrite chapter") => Reply::Cut(text),
        reply => reply,
    })
    .await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    server.job(generate(1)).on_storage(storage.clone()).run().await.unwrap();
    let before = chapters(&storage, "p").await;
    let rewrite = json!({"project": "p", "model": "m", "chapter": 1, "instruction": "Longer."});
    let cut = refused::<Rewrite>(&server, &storage, rewrite).await;
    assert!(cut.contains("longer than the model's answers"), "{cut}");
    assert_eq!(chapters(&storage, "p").await, before);
    for (json, what) in [
        (json!({"project": "p", "model": "m", "chapter": 7, "instruction": "x"}), "there is no chapter 7"),
        (json!({"project": "none", "model": "m", "chapter": 1, "instruction": "x"}), "has no book yet"),
        (json!({"project": "p", "model": "gone", "chapter": 1, "instruction": "x"}), "gone"),
        (
            json!({"project": "p", "model": "m", "chapter": 1, "instruction": "x", "characters": ["Zoe"]}),
            "no character \"Zoe\"",
        ),
        (
            json!({"project": "p", "model": "m", "chapter": 1, "instruction": "x", "templates": "noir"}),
            "noir.chapter.md",
        ),
    ] {
        let problem = refused::<Rewrite>(&server, &storage, json).await;
        assert!(problem.contains(what), "{problem}");
    }
    let nothing = refused::<WriteChapter>(&server, &storage, json!({"project": "new", "model": "m"})).await;
    assert!(nothing.contains("give a brief"), "{nothing}");
    for wrong in [
        json!({"project": "p", "model": "m", "chapter": 0, "instruction": "x"}),
        json!({"project": "p", "model": "m", "chapter": 1, "instruction": " "}),
        json!({"project": "p", "model": "../m", "chapter": 1, "instruction": "x"}),
        json!({"project": "p", "model": "m", "chapter": 1, "instruction": "x", "templates": "../x"}),
    ] {
        let payload: Rewrite = serde_json::from_value(wrong.clone()).unwrap();
        assert!(presswork::worker::Kind::check(&payload).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_rewritten_chapter_keeps_its_pictures_and_gets_no_others() {
    let server = Server::new(|_, _| {
        Reply::Says("See ![M](../images/map.png) ![X](../images/x.png) <b>now</b>.".into())
    })
    .await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut writer = crate::book::ProjectWriter::begin(project(&storage, "p"), "r1").unwrap();
    let data = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"p"))]);
    writer.asset("map.png", "image/png", futures_util::StreamExt::boxed(data)).await.unwrap();
    writer.chapter("0001-a.md", "A", "# A\n\n![M](../images/map.png)\n".into()).await.unwrap();
    let metadata = crate::book::Metadata { title: "T".into(), language: "de".into(), ..Default::default() };
    writer.publish(metadata).await.unwrap();
    done::<Rewrite>(
        &server,
        &storage,
        1,
        json!({"project": "p", "model": "m", "chapter": 1, "instruction": "x"}),
    )
    .await;
    assert!(server.asked()[0].text.contains("in this language: de"));
    let written = chapters(&storage, "p").await;
    assert_eq!(written, ["# A\n\nSee ![M](../images/map.png) X **now**.\n"]);
    let book = ProjectReader::open(project(&storage, "p")).await.unwrap().book().clone();
    assert_eq!((book.assets.len(), &*book.chapters.name(0)), (1, "0001-a.md"));
}
