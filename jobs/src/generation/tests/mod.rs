//! Books and their steps, written by a server that answers as each test says.

mod books;
mod cast;
mod hostile;
mod server;
mod single;
mod together;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, prefix::PrefixStore};
use presswork::{artifact::key, domain::EventBody, testing::Ran};
use serde_json::{Value, json};

use super::*;
use crate::book::{Characters, ProjectReader};

/// A job that writes a book of so many chapters, into project `p`.
fn generate(chapters: u32) -> Generate {
    serde_json::from_value(json!({
        "project": "p", "model": "m",
        "brief": {"title": "The Book", "author": "Nobody", "chapters": chapters, "words": 100}
    }))
    .unwrap()
}

/// A payload, checked.
fn payload<K: presswork::worker::Kind>(json: Value) -> K {
    let payload: K = serde_json::from_value(json).unwrap();
    payload.check().unwrap();
    payload
}

/// A project of tenant `test`.
fn project(storage: &Arc<dyn ObjectStore>, name: &str) -> Arc<dyn ObjectStore> {
    Arc::new(PrefixStore::new(storage.clone(), key(["test", "projects", name])))
}

/// The chapters of a project's book.
async fn chapters(storage: &Arc<dyn ObjectStore>, name: &str) -> Vec<String> {
    let reader = ProjectReader::open(project(storage, name)).await.unwrap();
    let mut chapters = Vec::new();
    for entry in reader.book().chapters.iter() {
        chapters.push(reader.chapter(entry).await.unwrap());
    }
    chapters
}

/// The files of a project.
async fn files(storage: &Arc<dyn ObjectStore>, name: &str) -> Vec<String> {
    let project = project(storage, name);
    let mut files: Vec<String> =
        project.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
    files.sort();
    files
}

async fn upload(storage: &Arc<dyn ObjectStore>, name: &str, text: &str) {
    storage.put(&key(["test", "files", name]), text.to_owned().into()).await.unwrap();
}

async fn character(storage: &Arc<dyn ObjectStore>, json: Value) {
    let character = serde_json::from_value(json).unwrap();
    Characters::of(project(storage, "p")).put(&character, true).await.unwrap();
}

/// The messages of progress.
fn messages(ran: &Ran) -> Vec<String> {
    let message = |event: &EventBody| match event {
        EventBody::Progress(progress) => Some(progress.message.clone()),
        _ => None,
    };
    ran.events.iter().filter_map(message).collect()
}

/// All text that subscribers were given.
fn told(ran: &Ran) -> String {
    let text = |event: &EventBody| match event {
        EventBody::Text { text } => Some(text.clone()),
        _ => None,
    };
    ran.events.iter().filter_map(text).collect()
}

fn result(ran: &Ran) -> &Value {
    ran.result.as_ref().unwrap_or_else(|failure| panic!("{failure}"))
}
