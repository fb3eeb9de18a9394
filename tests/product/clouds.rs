//! Import, export and reading back with everything in Azure's blobs (Azurite) or on Google's storage (a translation of the S3
//! server): as users set it up, by variables of the environment; and what they are told where that is wrong.

use crate::{
    kills::book,
    servers::{
        AzureServer, S3Server,
        s3::{GOOGLE_TOKEN, Matching, Moment, Operation},
    },
    world::{Running, World, text},
};

/// Imports a book whose exports have some parts, for a tenant.
fn import(world: &World, tenant: &str) {
    let folder = world.path("pictures");
    if !folder.exists() {
        book::of_pictures(&folder);
    }
    let import = ["enqueue", "import", folder.to_str().unwrap(), "--project", "novel", "--wait"];
    world.json(&[&["--tenant", tenant][..], &import].concat());
}

const EXPORT: [&str; 7] = ["enqueue", "export", "novel", "--format", "epub", "--compression", "none"];

/// A book goes in, comes out in parts, is read back, and is removed: for one who seals and one who does not.
fn goes_in_and_out(world: &World) -> Vec<u8> {
    let _worker = world.start(&["up", "--json", "--log", "error"]);
    world.json(&["tenants", "set", "sealed", "--seal", "on"]);
    let mut books = Vec::new();
    for tenant in ["sealed", "plain"] {
        import(world, tenant);
        let run = |arguments: &[&str]| world.json(&[&["--tenant", tenant][..], arguments].concat());
        let job = run(&[&EXPORT[..], &["--wait"]].concat());
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(job["artifacts"][0]["seal"].is_null(), tenant == "plain", "{job}");
        let id = job["id"].as_str().unwrap();
        let file = world.path(&format!("{tenant}.epub"));
        run(&["artifacts", "get", id, "-o", file.to_str().unwrap()]);
        let whole = std::fs::read(file).unwrap();
        assert!(whole.len() > 10 << 20, "it has parts: {}", whole.len());
        for (range, part) in [("0-4", &whole[..5]), ("5242870-5242889", &whole[5_242_870..5_242_890])] {
            let cat = world.run(&["--tenant", tenant, "artifacts", "cat", id, "--range", range]);
            assert!(cat.status.success() && cat.stdout == part, "{tenant} {range}: {}", text(&cat));
        }
        assert_eq!(run(&["artifacts", "verify", id])["artifacts"][0]["state"], "ok");
        let lent = world.run(&["--tenant", tenant, "artifacts", "url", id]);
        if tenant == "sealed" {
            assert!(lent.status.code() == Some(2) && text(&lent).contains("sealed"), "{}", text(&lent));
            assert_eq!(run(&["artifacts", "rm", id])["removed"][0], "novel.epub");
        }
        books.push(whole);
    }
    assert!(books[0] == books[1], "sealed or not, what comes out is the same");
    assert_eq!(world.objects(), [] as [String; 0], "nothing is kept in the data directory");
    let doctor = world.run(&["doctor"]);
    assert!(doctor.status.success(), "{}", text(&doctor));
    books.remove(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_goes_into_azures_blobs_and_out_and_is_lent_by_an_address() {
    let server = AzureServer::start();
    let world = World::on_azure(&server, "some/prefix");
    let (world, whole) = tokio::task::spawn_blocking(move || {
        let whole = goes_in_and_out(&world);
        (world, whole)
    })
    .await
    .unwrap();
    assert!(server.objects().iter().all(|key| key.starts_with("some/prefix/")), "{:?}", server.objects());

    let listed = world.json(&["--tenant", "plain", "artifacts", "list"]);
    let id = listed["artifacts"][0]["job"].as_str().unwrap();
    let lent = world.json(&["--tenant", "plain", "artifacts", "url", id, "--expires", "1m"]);
    let address = lent["url"].as_str().unwrap();
    let anybody = reqwest::get(address).await.unwrap().error_for_status().unwrap();
    assert!(anybody.bytes().await.unwrap() == whole, "an address lends what is stored");
    let other = address.replace("novel.epub", ".manifests/novel.epub.json");
    assert_eq!(reqwest::get(other).await.unwrap().status(), 403, "and nothing else");
}

#[test]
fn a_book_goes_into_googles_storage_and_out() {
    let server = S3Server::start_google();
    let world = World::on_s3(&server, "some/prefix");
    goes_in_and_out(&world);
    let keys = server.objects();
    assert!(keys.iter().all(|(key, _)| key.starts_with("some/prefix/")), "{keys:?}");
}

/// A worker, as a process that is killed or lives.
fn worker(world: &World, lease: &str) -> Running {
    let mut worker = world.start(&["up", "--json", "--lease", lease, "--log", "error"]);
    assert_eq!(worker.next_json().unwrap()["event"], "started");
    worker
}

#[test]
fn an_upload_of_blocks_is_gone_on_with_where_its_worker_was_killed() {
    let server = AzureServer::start();
    let world = World::on_azure(&server, "kills");
    let first = worker(&world, "30s");
    import(&world, "plain");
    let done = world.json(&[&["--tenant", "plain"], &EXPORT[..], &["--wait"]].concat());
    drop(first);
    let key = |id: &str| {
        let keys = server.objects();
        let of_it = keys.into_iter().filter(|key| key.contains(id) && key.ends_with("/novel.epub"));
        of_it.collect::<Vec<_>>()
    };
    let undisturbed = key(done["id"].as_str().unwrap());
    let parts = u32::try_from(server.object(&undisturbed[0]).len().div_ceil(5 << 20)).unwrap();
    assert!(parts >= 3, "{parts}");

    let enqueued = world.json(&[&["--tenant", "plain"], &EXPORT[..]].concat());
    let id = enqueued["id"].as_str().unwrap();
    let before = server.figures().done(Operation::UploadPart);
    // The third goes when the first is stored; it is stopped, the second may be on its way.
    let gate = server.hold(Matching::operation(Operation::UploadPart).key(id), 3, Moment::Arrived);
    let mut killed = worker(&world, "2s");
    server.wait_until("two parts are stored", |figures| {
        gate.was_reached() && figures.done(Operation::UploadPart) >= before + 2
    });
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    gate.cut();
    assert_eq!(key(id), [] as [String; 0], "nothing is seen of it");

    let _worker = worker(&world, "30s");
    let mut watcher = world.start(&["--tenant", "plain", "watch", id, "--json"]);
    let last = watcher.until(|line| ["completed", "dead"].iter().any(|state| line["state"] == *state));
    assert_eq!(last["state"], "completed", "{last}");
    let stored = key(id);
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert!(stored[0].contains("/000001/"), "it went on with the first attempt's: {stored:?}");
    assert!(server.object(&stored[0]) == server.object(&undisturbed[0]), "other bytes on storage");
    assert_eq!(server.uncommitted(&stored[0]), 0, "a block that no blob has is dropped with the last step");
    assert_eq!(world.json(&["--tenant", "plain", "artifacts", "verify", id])["artifacts"][0]["state"], "ok");
}

/// Variables of the environment, with their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

#[test]
fn what_is_wrong_with_a_clouds_address_or_credentials_is_told_with_what_to_do() {
    let (azure, google) = (AzureServer::start(), S3Server::start_google());
    let world = World::new();
    let book = world.file("novel.md", "# One\n\nWords.\n");
    world.json(&["enqueue", "import", &book, "--project", "novel"]);
    let containers = (azure.storage_url("x"), google.storage_url("x"));
    let (at_azure, at_google) = (containers.0.as_str(), containers.1.as_str());
    let nowhere = "http://127.0.0.1:1";
    // Where it is, what is other than it should be, what is told.
    let cases: [(&str, Variables<'_>, &str); 10] = [
        ("az://nobooks/x", &[], "there is no such bucket or container"),
        ("gs://nobooks/x", &[], "there is no such bucket or container"),
        (at_azure, &[("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==")], "refuses the credentials"),
        (at_google, &[("GOOGLE_BEARER_TOKEN", "hunter2")], "refuses the credentials"),
        (at_azure, &[("AZURE_STORAGE_ACCOUNT_KEY", "hunter2!")], "AZURE_STORAGE_ACCOUNT_KEY"),
        (at_azure, &[("AZURE_STORAGE_ACCOUNT_NAME", "")], "AZURE_STORAGE_ACCOUNT_NAME"),
        (
            at_azure,
            &[("AZURE_STORAGE_ACCOUNT_KEY", ""), ("AZURE_MSI_ENDPOINT", nowhere)],
            "has no credentials",
        ),
        (
            at_google,
            &[
                ("GOOGLE_BEARER_TOKEN", ""),
                ("GCE_METADATA_HOST", "127.0.0.1:1"),
                ("GCE_METADATA_IP", "127.0.0.1:1"),
            ],
            "has no credentials",
        ),
        (
            at_google,
            &[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json"), ("GOOGLE_BEARER_TOKEN", "")],
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (at_azure, &[("AZURE_STORAGE_ENDPOINT", nowhere)], "can't be reached"),
    ];
    let commands = [&["doctor"][..], &["enqueue", "import", &book, "--project", "novel"]];
    // At once: a client is patient with who does not answer.
    std::thread::scope(|scope| {
        for (url, others, wanted) in cases {
            for arguments in commands {
                let mut command = world.command(&[arguments, &["--storage-url", url]].concat());
                command.envs(azure.environment()).envs(google.environment()).env("HOME", world.path("home"));
                for (name, value) in others {
                    if value.is_empty() {
                        command.env_remove(name)
                    } else {
                        command.env(name, value)
                    };
                }
                let what = format!("{url} {others:?} {arguments:?}");
                scope.spawn(move || {
                    let output = command.output().unwrap();
                    let told = text(&output);
                    assert!(!output.status.success() && told.contains(wanted), "{what}: {told}");
                    let secrets = ["hunter2", GOOGLE_TOKEN, crate::servers::azure::KEY];
                    assert!(!secrets.iter().any(|secret| told.contains(secret)), "{what}: {told}");
                });
            }
        }
    });
}
