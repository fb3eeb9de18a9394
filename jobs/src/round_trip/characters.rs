//! Characters go out to a table and to JSON, and come back as they were.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, memory::InMemory, prefix::PrefixStore};
use presswork::testing::Inline;
use serde_json::json;

use crate::{
    book::{Character, Characters},
    export::Export,
    import::{ImportCharacters, characters::BroughtCharacters},
};

#[tokio::test]
async fn what_the_export_writes_comes_back_as_it_was() {
    let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let one = json!({
        "id": "odysseus", "name": "=HYPERLINK(\"x\")", "aliases": ["Outis", " a; b\\c ", "'=x"], "role": "'+1",
        "description": "x;=1;'@2\t-3\r\n@4", "traits": ["-cunning"], "notes": "\tfirst\nsecond, \"quoted\"\r\n",
        "relationships": [{ "to": "penelope", "kind": "husband; =1" }], "first_chapter": 5,
        "Haar": "a;=1", "voice": { "pitch": ["low", 1.5, null] },
    });
    let one: Character = serde_json::from_value(one).unwrap();
    let characters = Characters::of(Arc::new(PrefixStore::new(storage.clone(), "test/projects/odyssey")));
    characters.put(&one, false).await.unwrap();
    for format in ["csv", "json"] {
        let export = json!({ "project": "odyssey", "format": format, "what": "characters" });
        let export: Export = serde_json::from_value(export).unwrap();
        let ran = Inline::new(export).on_storage(storage.clone()).run().await.unwrap();
        ran.result.as_ref().unwrap();
        let name = format!("back.{format}");
        let bytes = ran.artifacts[0].1.clone();
        storage.put(&format!("test/files/{name}").into(), PutPayload::from(bytes)).await.unwrap();
        let source = json!({ "name": name, "key": format!("files/{name}") });
        let import: ImportCharacters =
            serde_json::from_value(json!({ "project": "odyssey", "source": source })).unwrap();
        let ran = Inline::new(import).on_storage(storage.clone()).run().await.unwrap();
        let told: BroughtCharacters = serde_json::from_value(ran.result.unwrap()).unwrap();
        assert_eq!((told.items, told.unchanged), (1, 1), "{format}: {told:?}");
    }
}
