//! Where settings come from, and which are refused.

use super::*;

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let (_folder, path) = file("tenant = \"file\"\nlease = \"20s\"\nchunk_size = \"4KiB\"\nlog = \"info\"");
    let environment = |name: &str| match name {
        "PRESSWORK_TENANT" => Some("environment".into()),
        "PRESSWORK_LEASE" => Some("30s".into()),
        "PRESSWORK_CONCURRENCY" => Some(OsString::new()),
        _ => None,
    };
    let flags = Layer { tenant: Some("flag".parse().unwrap()), ..Layer::default() };
    let settings = Settings::load(flags, Some(path), &environment).unwrap();
    let expected = Settings {
        tenant: "flag".parse().unwrap(),
        lease: Duration::from_secs(30),
        chunk_size: 4 << 10,
        log: Some("info".to_owned()),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
}

#[test]
fn an_unknown_key_is_refused_with_its_name_and_file() {
    let (_folder, path) = file("tennant = \"acme\"");
    let error = Settings::load(Layer::default(), Some(path.clone()), &nothing).unwrap_err().to_string();
    assert!(error.contains("tennant") && error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_file_that_is_wrong_near_an_address_is_told_without_its_password() {
    for text in [
        "redis_url = \"redis://:hunter2@host:99999\"",
        "tenant = \"acme\"\nredis_url = \"redis://:hunter2@host",
        "redis-url = \"redis://:hunter2@host\"",
        "redis_url = [\n\"redis://:hunter2@host\"]",
        "master_key = \"hunter2\"",
    ] {
        let (_folder, path) = file(text);
        let error = Settings::load(Layer::default(), Some(path), &nothing).unwrap_err().to_string();
        assert!(error.contains(": line ") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there_also_when_the_environment_names_it() {
    let named = |name: &str| (name == "PRESSWORK_CONFIG").then(|| "/nowhere/x.toml".into());
    for (flag, variable) in
        [(Some(PathBuf::from("/nowhere/x.toml")), &nothing as &Variables<'_>), (None, &named)]
    {
        let error = Settings::load(Layer::default(), flag, variable).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x.toml: "), "{error}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_the_name_of_its_variable() {
    for (name, value) in [
        ("PRESSWORK_TENANT", "../x"),
        ("PRESSWORK_DRAIN", "soon"),
        ("PRESSWORK_CHUNK_SIZE", "8KB"),
        ("PRESSWORK_LOG_FORMAT", "xml"),
        ("PRESSWORK_CONCURRENCY", "-1"),
    ] {
        let environment = |asked: &str| (asked == name).then(|| value.into());
        let error = Settings::load(Layer::default(), None, &environment).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    for layer in [
        Layer { data_dir: Some(PathBuf::new()), ..Layer::default() },
        Layer { concurrency: Some(0), ..Layer::default() },
        Layer { lease: Some(TimeSpan(Duration::ZERO)), ..Layer::default() },
        Layer { chunk_size: Some(ByteSize(1 << 40)), ..Layer::default() },
    ] {
        assert!(Settings::default().under(layer).is_err());
    }
}

#[test]
fn models_are_kept_as_they_stand_for_the_kinds_that_read_them() {
    let (_folder, path) = file("[models.writer]\nprovider = \"ollama\"\nprice = { input = 0.5 }\n");
    let settings = Settings::load(Layer::default(), Some(path), &nothing).unwrap();
    let models = settings.models.unwrap();
    assert_eq!(models["writer"], serde_json::json!({"provider": "ollama", "price": {"input": 0.5}}));
}
