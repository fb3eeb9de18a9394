//! Models are strangers: whatever they say, a book comes of it or a clear error. Tenants are strangers to each other.

use object_store::memory::InMemory;
use presswork::domain::Failure;

use super::{
    server::{Reply, Server, novelist},
    *,
};
use crate::generation::steps::{Rewrite, Synopsis, WriteOutline};

const EVIL: &str = "# Title 1\n\n<script>alert(1)</script>\n\nA <img src=x onerror=alert(1)> b\u{1b}[31m\u{0}c \
                    ![t](https://evil.example/x.png) [l](javascript:alert(1)) ../../book.json {{premise}} \
                    [^1]\n\n[^1]: note\n\n```html\n<iframe src=evil>\n```\n\n| a |\n|---|\n| <b>x</b> |\n";

#[tokio::test]
async fn what_a_model_says_can_not_break_the_project_nor_reach_a_terminal() {
    let server = Server::new(|question, _| {
        let title = "../../../../etc/passwd\u{1b}[2J\u{0}\n# <script>x</script> NUL";
        if question.text.contains("Plan the book") {
            let chapter =
                json!({"title": title, "plan": "{{premise}} <script>\u{7}", "characters": ["../x"]});
            return Reply::Says(json!({"chapters": [chapter.clone(), chapter]}).to_string());
        }
        if question.text.contains("Sum up") {
            return Reply::Says(
                "<script>alert(1)</script> {{notes}} {{#title}} \u{1b}[0m and so it went on.".into(),
            );
        }
        let deep = if question.text.contains("chapter 2") { "> ".repeat(300) } else { String::new() };
        Reply::Says(format!("{EVIL}\n{deep}deep"))
    })
    .await;
    let mut order = generate(2);
    (order.brief.premise, order.revision) = ("the secret premise".into(), true);
    let ran = server.job(order).run().await.unwrap();
    let output = result(&ran);
    assert!(!output["dropped"].as_object().unwrap().is_empty(), "{output}");
    let files = files(&ran.storage, "p").await;
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(
        files.iter().all(|file| !file.contains("..") && !file.chars().any(char::is_control)),
        "{files:?}"
    );
    for chapter in chapters(&ran.storage, "p").await {
        for event in pulldown_cmark::Parser::new_ext(&chapter, crate::book::markdown::dialect()) {
            use pulldown_cmark::{Event, Tag};
            let is_evil = matches!(
                event,
                Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Link { .. } | Tag::Image { .. })
            );
            assert!(!is_evil, "{event:?} in {chapter}");
        }
        for gone in ["\u{1b}", "\u{0}", "the secret premise"] {
            assert!(!chapter.contains(gone), "{gone}: {chapter}");
        }
        assert_eq!(chapter.matches("\n# ").count(), 0, "{chapter}");
    }
    assert!(server.asked().iter().all(|question| question.text.matches("the secret premise").count() <= 1));
    assert!(!told(&ran).chars().any(|c| c.is_control() && c != '\n'));
    assert!(messages(&ran).iter().all(|message| !message.chars().any(char::is_control)));
}

#[tokio::test]
async fn an_endless_answer_ends_the_attempt_not_the_worker() {
    let server = Server::new(|question, _| {
        if question.text.contains("Write chapter 2") {
            Reply::Says("word ".repeat(2 << 20))
        } else {
            novelist(question)
        }
    })
    .await;
    let ran = server.job(generate(2)).run().await.unwrap();
    let failure = ran.result.as_ref().unwrap_err();
    assert!(
        matches!(failure, Failure::Snooze { .. }) && failure.to_string().contains("much longer than"),
        "{failure}"
    );
    assert_eq!(chapters(&ran.storage, "p").await.len(), 1);
    let spent = ran.checkpoint::<Value>().unwrap();
    assert!(spent["bill"]["total"]["output_tokens"].as_u64() > Some(1_000), "it is on the bill: {spent}");
}

#[tokio::test]
async fn a_tenants_templates_are_asked_with_and_a_slip_in_one_costs_nothing() {
    let server = Server::new(|question, _| {
        let text = question.text.replace("MINE ", "");
        novelist(&super::server::Question { text, ..question.clone() })
    })
    .await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let with = |text: &str, name: &str| format!("MINE {text}\n---\n{name}\n");
    upload(
        &storage,
        "noir.outline.md",
        "be brief\n---\nMINE Plan the book with exactly {{chapters}}: {{title}}",
    )
    .await;
    upload(&storage, "noir.chapter.md", &with("MINE", "Write chapter {{number}} MINE {{plan}}")).await;
    upload(&storage, "noir.summary.md", "MINE Sum up this chapter\nChapter {{number}}{{text}}").await;
    upload(&storage, "noir.revision.md", "MINE Revise chapter {{number}}{{text}}").await;
    let mut order = generate(2);
    (order.templates, order.revision) = (Some("noir".into()), true);
    let ran = server.job(order.clone()).on_storage(storage.clone()).run().await.unwrap();
    assert_eq!(result(&ran)["chapters"], json!(2));
    let asked = server.asked();
    assert!(asked.iter().all(|question| question.text.contains("MINE ")), "{asked:?}");
    assert_eq!(
        (&*asked[0].system, &*asked[0].text),
        ("be brief", "MINE Plan the book with exactly 2: The Book")
    );
    assert!(asked[1].system.contains("MINE MINE") && asked[1].text.ends_with("MINE Plan 1 of Ann."));

    upload(&storage, "noir.summary.md", "Sum up {{chapter}}").await;
    let before = server.asked().len();
    let ran = server.job(order).on_storage(storage.clone()).seed(5).run().await.unwrap();
    let failure = ran.result.unwrap_err().to_string();
    assert!(
        failure.contains("files/noir.summary.md, line 1, column 8: there is no {{chapter}} here"),
        "{failure}"
    );
    assert_eq!(server.asked().len(), before);
}

#[tokio::test]
async fn another_tenants_project_and_templates_are_as_if_there_were_none() {
    let server = Server::new(|question, _| novelist(question)).await;
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    server.job(generate(1)).on_storage(storage.clone()).run().await.unwrap();
    upload(&storage, "noir.chapter.md", "Write chapter {{number}}").await;
    let before = files(&storage, "p").await;
    let asked = server.asked().len();
    let rewrite: Rewrite = payload(json!({"project": "p", "model": "m", "chapter": 1, "instruction": "x"}));
    let none = |project: &str| {
        let json = json!({"project": project, "model": "m"});
        let synopsis: Synopsis = payload(json);
        server.job(synopsis).on_storage(storage.clone()).for_tenant("other".parse().unwrap())
    };
    let foreign = none("p").run().await.unwrap().result.unwrap_err();
    let missing = none("gone").run().await.unwrap().result.unwrap_err();
    assert_eq!(foreign, missing);
    let ran = server
        .job(rewrite)
        .on_storage(storage.clone())
        .for_tenant("other".parse().unwrap())
        .run()
        .await
        .unwrap();
    assert!(matches!(ran.result, Err(Failure::Fatal(_))));
    let outline = json!({"project": "p", "model": "m", "brief": {"title": "T"}, "templates": "noir"});
    let outline: WriteOutline = payload(outline);
    let ran = server
        .job(outline)
        .on_storage(storage.clone())
        .for_tenant("other".parse().unwrap())
        .run()
        .await
        .unwrap();
    assert!(ran.result.unwrap_err().to_string().contains("no template of the set"));
    let ran = server
        .job(generate(1))
        .on_storage(storage.clone())
        .for_tenant("other".parse().unwrap())
        .run()
        .await
        .unwrap();
    assert!(ran.result.is_ok());
    assert_eq!((files(&storage, "p").await, server.asked().len()), (before, asked + 2));
}
