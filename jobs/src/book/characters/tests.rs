//! Characters on storage: kept as they are, listed in order, refused with a reason.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, memory::InMemory};

use super::*;
use crate::book::{BookError, Metadata, ProjectWriter};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn character(id: &str) -> Character {
    serde_json::from_value(serde_json::json!({ "id": id, "name": id.to_uppercase() })).unwrap()
}

async fn ids(characters: &Characters) -> Vec<String> {
    characters.ids().map_ok(|id| id.to_string()).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_character_is_kept_with_the_fields_that_nobody_here_knows() {
    let characters = Characters::of(memory());
    let json = serde_json::json!({
        "id": "odysseus", "name": "Odysseus", "aliases": ["Outis"], "role": "protagonist",
        "traits": ["cunning"], "relationships": [{ "to": "penelope", "kind": "husband" }],
        "first_chapter": 5, "voice": { "pitch": "low", "samples": [1, 2.5, null] }, "é": "ü",
    });
    let odysseus: Character = serde_json::from_value(json.clone()).unwrap();
    assert!(characters.put(&odysseus, false).await.unwrap());
    let read = characters.get(&odysseus.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
    let other = Character { role: "king".into(), ..odysseus.clone() };
    assert!(!characters.put(&other, false).await.unwrap(), "there is one already");
    assert_eq!(characters.get(&odysseus.id).await.unwrap(), Some(odysseus.clone()));
    assert!(characters.put(&other, true).await.unwrap());
    assert_eq!(characters.get(&odysseus.id).await.unwrap(), Some(other));
    assert!(characters.remove(&odysseus.id).await.unwrap());
    assert!(!characters.remove(&odysseus.id).await.unwrap());
    assert_eq!(characters.get(&odysseus.id).await.unwrap(), None);
}

#[tokio::test]
async fn characters_come_in_order_however_storage_lists_them_and_few_ids_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let names = ["b", "a-b", "a", "ä", "Z", "zoë", "a b", "吾輩", "m", "n"];
    for storage in [disk as Arc<dyn ObjectStore>, memory()] {
        for held in [1, 3, 10, 100] {
            let characters = Characters::holding(storage.clone(), held);
            for name in names {
                characters.put(&character(name), true).await.unwrap();
            }
            // Neither is a character.
            for other in ["characters/notes.txt", "characters/old/x.json"] {
                storage.put(&other.into(), PutPayload::from_static(b"{}")).await.unwrap();
            }
            let sorted = ["Z", "a", "a b", "a-b", "b", "m", "n", "zoë", "ä", "吾輩"];
            assert_eq!(ids(&characters).await, sorted, "{held} held");
            let all: Vec<Character> = characters.all().try_collect().await.unwrap();
            assert!(all.iter().map(|one| one.id.as_str()).eq(sorted));
        }
    }
}

#[tokio::test]
async fn what_is_no_character_is_refused_with_the_file_and_the_reason() {
    let storage = memory();
    let characters = Characters::of(storage.clone());
    for (content, reason) in [
        (r#"{"id":"x"}"#, "characters/x.json, line 1 column 10: is no character: missing field `name`"),
        (r#"{"id":"x","name":" "}"#, "characters/x.json: its name is blank: give it one"),
        (
            r#"{"id":"y","name":"Y"}"#,
            "characters/x.json: its id is \"y\": give it the file's name, or rename the file",
        ),
        (
            r#"{"id":"../x","name":"Y"}"#,
            "line 1 column 12: is no character: a character's id is a file's name",
        ),
        (r#"{"id":"x","name":"Y","first_chapter":0}"#, "is no character: invalid value: integer `0`"),
    ] {
        storage.put(&"characters/x.json".into(), PutPayload::from(content)).await.unwrap();
        let error = characters.get(&"x".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, BookError::Input { .. }) && error.to_string().contains(reason), "{error}");
    }
    let long = Character { notes: "x".repeat(MOST_CHARACTER_BYTES), ..character("x") };
    assert!(characters.put(&long, true).await.unwrap_err().to_string().contains("at most 256 KiB"));
}

#[test]
fn an_id_is_one_segment_of_a_path() {
    for bad in ["", "..", "a/b", "con", ".x", "a\\b", "x\u{0}", "%2e", &"x".repeat(121)] {
        assert!(bad.parse::<CharacterId>().is_err(), "{bad:?}");
    }
    assert_eq!("e\u{301}".parse::<CharacterId>().unwrap().as_str(), "é");
}

#[tokio::test]
async fn an_import_leaves_the_characters_alone() {
    let storage = memory();
    let characters = Characters::of(storage.clone());
    characters.put(&character("odysseus"), false).await.unwrap();
    for revision in ["r1", "r2"] {
        let mut writer = ProjectWriter::begin(storage.clone(), revision).unwrap();
        writer.chapter("0001-a.md", "A", "# A\n".into()).await.unwrap();
        writer.publish(Metadata { title: "T".into(), ..Metadata::default() }).await.unwrap();
    }
    let writer = ProjectWriter::begin(storage.clone(), "r3").unwrap();
    writer.clear(None, std::time::Duration::ZERO).await;
    assert_eq!(ids(&characters).await, ["odysseus"]);
    assert!(ProjectWriter::begin(storage, FOLDER).is_err());
}
