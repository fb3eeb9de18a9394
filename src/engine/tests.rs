//! The data directory as an engine makes and leaves it.

use super::*;

fn settings(data_dir: PathBuf) -> Settings {
    Settings { data_dir, ..Settings::default() }
}

#[tokio::test]
async fn a_data_directory_is_made_private_and_is_whole() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/data");
    let engine = Engine::open(&settings(folder.clone())).unwrap();
    assert_eq!(engine.check().await.unwrap(), Vec::<String>::new());
    #[cfg(unix)]
    for name in ["", "objects", "tmp"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{name}");
    }
}

#[tokio::test]
async fn the_scratch_folder_goes_with_the_engine() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::open(&settings(root.path().to_owned())).unwrap();
    let parts = engine.parts(Arc::default()).await.unwrap();
    assert!(parts.scratch.starts_with(root.path().join("tmp")));
    fs::create_dir_all(parts.scratch.join("job")).unwrap();
    drop((engine, parts));
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_no_data_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Engine::open(&settings(file.clone())).unwrap_err();
    assert!(matches!(error, EngineError::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()));
}
