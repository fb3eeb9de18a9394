//! `/v1/users`.

use presswork::security::access::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    identity::{PASSWORD, login, user},
    world::{World, answer},
};

async fn call(world: &World, method: Method, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = world.request(method, path, key).header("content-type", "application/json");
    answer(request.body(body.to_string()).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_new_sets_his_password_by_a_link_that_holds_once() {
    let world = World::start().await;
    user(&world, "acme", "ada", Role::Admin).await;
    let (ada, _) = login(&world, "acme", "ada").await;
    let (status, made) =
        world.post("/v1/users", &ada, &json!({ "name": "Jo@books.example", "role": "producer" })).await;
    assert_eq!((status, &made["user"]["name"]), (StatusCode::CREATED, &json!("jo@books.example")), "{made}");
    let again = world.post("/v1/users", &ada, &json!({ "name": "jo@books.example", "role": "viewer" })).await;
    assert_eq!(again.0, StatusCode::CONFLICT);

    let set = async |link: &Value, password: &str| {
        world.post("/v1/auth/link", "", &json!({ "link": link, "new_password": password })).await.0
    };
    let link = &made["link"]["link"];
    assert_eq!(set(&json!("pw_link_x"), PASSWORD).await, StatusCode::FORBIDDEN);
    assert_eq!(set(link, "short").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(set(link, PASSWORD).await, StatusCode::NO_CONTENT);
    assert_eq!(set(link, PASSWORD).await, StatusCode::FORBIDDEN);
    let (jo, _) = login(&world, "acme", "jo@books.example").await;

    // A link for a forgotten password ends what was given before, once it is used.
    let path = format!("/v1/users/{}", made["user"]["id"].as_str().unwrap());
    let (status, reset) = world.post(&format!("{path}/reset"), &ada, &json!({})).await;
    assert_eq!(
        (status, world.get("/v1/jobs", &jo).await.0),
        (StatusCode::CREATED, StatusCode::OK),
        "{reset}"
    );
    assert_eq!(set(&reset["link"], "a quiet evening by the sea").await, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/v1/jobs", &jo).await.0, StatusCode::UNAUTHORIZED);

    let (_, listed) = world.get("/v1/users?limit=1", &ada).await;
    assert_eq!(listed["items"][0]["name"], "ada");
    let next = listed["next"].as_str().unwrap();
    let (_, listed) = world.get(&format!("/v1/users?limit=1&cursor={next}"), &ada).await;
    assert_eq!(listed["items"][0]["name"], "jo@books.example");
    assert!(!listed.to_string().contains("argon2"));
    assert_eq!(world.get("/v1/users?cursor=x", &ada).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hands_out_what_he_has_not_or_changes_who_has_more() {
    let world = World::start().await;
    let root = user(&world, "acme", "root", Role::Root).await;
    user(&world, "acme", "ada", Role::Admin).await;
    let jo = user(&world, "acme", "jo", Role::Operator).await;
    let (ada, _) = login(&world, "acme", "ada").await;
    let (operator, _) = login(&world, "acme", "jo").await;
    let few = world.key("acme", &["users:manage", "users:read"]).await;
    let of = |id: &str| format!("/v1/users/{id}");

    let new = json!({ "name": "x", "role": "root" });
    assert_eq!(world.post("/v1/users", &ada, &new).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        world.post("/v1/users", &operator, &json!({ "name": "x", "role": "viewer" })).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        world.post("/v1/users", &few, &json!({ "name": "x", "role": "viewer" })).await.0,
        StatusCode::FORBIDDEN
    );
    for (method, path, body) in [
        (Method::PATCH, of(&root.id), json!({ "disabled": true })),
        (Method::PATCH, of(&jo.id), json!({ "role": "root" })),
        (Method::DELETE, of(&root.id), json!({})),
        (Method::POST, format!("{}/reset", of(&root.id)), json!({})),
        (Method::POST, format!("{}/logout", of(&root.id)), json!({})),
    ] {
        let (status, problem) = call(&world, method, &path, &ada, &body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path} {body}: {problem}");
    }
    let (session, text) = world.engine.sessions.begin(&root, Default::default()).await.unwrap();
    let path = format!("{}/sessions/{}", of(&root.id), session.id);
    assert_eq!(call(&world, Method::DELETE, &path, &ada, &json!({})).await.0, StatusCode::FORBIDDEN);
    assert!(world.engine.sessions.verify(&text).await.unwrap().is_some());
    // A role is in force at once, with the token that is out.
    let body = json!({ "kind": "echo", "payload": { "text": "hello" } });
    assert_eq!(world.post("/v1/jobs", &operator, &body).await.0, StatusCode::CREATED);
    let (status, changed) =
        call(&world, Method::PATCH, &of(&jo.id), &ada, &json!({ "role": "viewer" })).await;
    assert_eq!((status, &changed["role"]), (StatusCode::OK, &json!("viewer")));
    assert_eq!(world.post("/v1/jobs", &operator, &body).await.0, StatusCode::FORBIDDEN);
    assert_eq!(call(&world, Method::DELETE, &of(&jo.id), &ada, &json!({})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.get("/v1/jobs", &operator).await.0, StatusCode::UNAUTHORIZED);
    // The name is free again, and the new one is another.
    let jo_again = user(&world, "acme", "jo", Role::Operator).await;
    assert_ne!(jo.id, jo_again.id);
    assert_eq!(world.get("/v1/jobs", &operator).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_also_when_two_remove_each_other_at_one_time() {
    let world = World::start().await;
    let (ada, bob) =
        (user(&world, "acme", "ada", Role::Admin).await, user(&world, "acme", "bob", Role::Admin).await);
    let ((as_ada, _), (as_bob, _)) = (login(&world, "acme", "ada").await, login(&world, "acme", "bob").await);
    let (of_ada, of_bob) = (format!("/v1/users/{}", ada.id), format!("/v1/users/{}", bob.id));
    let demotion = json!({ "role": "viewer" });
    let (one, two) = tokio::join!(
        call(&world, Method::PATCH, &of_bob, &as_ada, &demotion),
        call(&world, Method::PATCH, &of_ada, &as_bob, &demotion)
    );
    let done = [&one, &two].iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!(done, 1, "{one:?} {two:?}");
    let (last, path) = if one.0 == StatusCode::OK { (&as_ada, &of_ada) } else { (&as_bob, &of_bob) };
    for (method, body) in [
        (Method::PATCH, demotion.clone()),
        (Method::PATCH, json!({ "disabled": true })),
        (Method::DELETE, json!({})),
    ] {
        let (status, problem) = call(&world, method, path, last, &body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_user_is_not_there() {
    let world = World::start().await;
    user(&world, "acme", "ada", Role::Admin).await;
    let theirs = user(&world, "globex", "eve", Role::Viewer).await;
    let (ada, _) = login(&world, "acme", "ada").await;
    for (method, end, body) in [
        (Method::GET, "", json!({})),
        (Method::PATCH, "", json!({ "disabled": true })),
        (Method::DELETE, "", json!({})),
        (Method::POST, "/reset", json!({})),
        (Method::POST, "/logout", json!({})),
    ] {
        let of = |id: &str| format!("/v1/users/{id}{end}");
        let hidden = call(&world, method.clone(), &of(&theirs.id), &ada, &body).await;
        let unknown = call(&world, method, &of("user_00000000000000000000000000"), &ada, &body).await;
        assert_eq!((hidden.0, &hidden), (StatusCode::NOT_FOUND, &unknown));
    }
    assert_eq!(world.get("/v1/users", &ada).await.1["items"].as_array().unwrap().len(), 1);
    login(&world, "globex", "eve").await;
}
