//! `/docs`: the OpenAPI document as a page to read. Made here once, from the document; it needs no script, and nothing from
//! elsewhere. Must not know: any resource.

use std::fmt::Write as _;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Routes, state::ApiState};

/// The page and its style.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(style))
}

/// What the page may load: its own style.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// This document, to be read
#[utoipa::path(
    get,
    path = "/docs",
    tag = "status",
    responses(
        (status = OK, description = "A page", body = String, content_type = "text/html"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn page(State(state): State<ApiState>) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, html), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, state.docs()).into_response()
}

/// The style of the page to be read
#[utoipa::path(
    get,
    path = "/docs/style.css",
    tag = "status",
    responses(
        (status = OK, description = "A style sheet", body = String, content_type = "text/css"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn style() -> Response {
    let css = HeaderValue::from_static("text/css; charset=utf-8");
    ([(header::CONTENT_TYPE, css)], include_str!("docs.css")).into_response()
}

/// The page for a document.
pub(super) fn render(document: &Value) -> String {
    let info = &document["info"];
    let mut html = String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let title = text(&info["title"]);
    // Writing to a string can't fail, here and below.
    let _ = write!(
        html,
        "<title>{title} API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body><h1>{title} API</h1>\
         <p class=\"quiet\">Version {} · <a href=\"/openapi.json\">openapi.json</a></p><p>{}</p><nav><ul>",
        text(&info["version"]),
        text(&info["description"])
    );
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    for tag in &tags {
        let name = text(&tag["name"]);
        let _ = write!(html, "<li><a href=\"#{name}\">{name}</a></li>");
    }
    html.push_str("<li><a href=\"#schemas\">schemas</a></li></ul></nav><main>");
    for tag in &tags {
        let name = text(&tag["name"]);
        let _ = write!(html, "<section id=\"{name}\"><h2>{name}</h2><p>{}</p>", text(&tag["description"]));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let operation = &item[method];
                if operation["tags"][0] == tag["name"] {
                    write_operation(&mut html, method, path, operation);
                }
            }
        }
        html.push_str("</section>");
    }
    html.push_str("<section id=\"schemas\"><h2>schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(html, "<details id=\"schema-{0}\"><summary><code>{0}</code></summary>", escape(name));
        let _ = write!(html, "<p>{}</p>", text(&schema["description"]));
        if schema["properties"].is_object() {
            write_properties(&mut html, schema);
        } else {
            let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
            let _ = write!(html, "<pre>{}</pre>", escape(&pretty));
        }
        html.push_str("</details>");
    }
    html.push_str("</section></main></body></html>");
    html
}

fn write_operation(html: &mut String, method: &str, path: &str, operation: &Value) {
    let (summary, path) = (text(&operation["summary"]), escape(path));
    let _ = write!(
        html,
        "<details><summary><span class=\"method\">{}</span><code>{path}</code> <span class=\"what\">{summary}</span></summary>",
        method.to_uppercase()
    );
    if operation["description"].is_string() {
        let _ = write!(html, "<p>{}</p>", text(&operation["description"]));
    }
    let _ = write!(html, "<p>Needs: {}.</p>", need(operation));
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows: Vec<[String; 3]> = parameters
        .map(|parameter| {
            let place = text(&parameter["in"]);
            let place = if parameter["required"] == true { format!("{place}, required") } else { place };
            [format!("<code>{}</code>", text(&parameter["name"])), place, text(&parameter["description"])]
        })
        .collect();
    write_table(html, "Parameters", &rows);
    if let Some(body) = operation["requestBody"]["content"].as_object() {
        let rows: Vec<[String; 3]> = body
            .iter()
            .map(|(kind, content)| {
                [format!("<code>{}</code>", escape(kind)), shape(&content["schema"]), String::new()]
            })
            .collect();
        write_table(html, "Body", &rows);
    }
    let answers = operation["responses"].as_object().into_iter().flatten();
    let rows: Vec<[String; 3]> = answers
        .map(|(status, answer)| {
            let content = answer["content"].as_object().and_then(|content| content.values().next());
            let shown = content.map_or_else(String::new, |content| shape(&content["schema"]));
            [format!("<code>{}</code>", escape(status)), text(&answer["description"]), shown]
        })
        .collect();
    write_table(html, "Answers", &rows);
    html.push_str("</details>");
}

/// Who may call it, in words.
fn need(operation: &Value) -> String {
    let schemes = operation["security"][0].as_object();
    match schemes.and_then(|schemes| schemes.values().next()) {
        None => "nothing".to_owned(),
        Some(scopes) => match scopes[0].as_str() {
            Some(permission) => format!("<code>{}</code>", escape(permission)),
            None => "a credential".to_owned(),
        },
    }
}

fn write_table(html: &mut String, head: &str, rows: &[[String; 3]]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(html, "<table><thead><tr><th colspan=\"3\">{head}</th></tr></thead><tbody>");
    for [first, second, third] in rows {
        let _ = write!(html, "<tr><td>{first}</td><td>{second}</td><td>{third}</td></tr>");
    }
    html.push_str("</tbody></table>");
}

fn write_properties(html: &mut String, schema: &Value) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let rows: Vec<[String; 3]> = properties
        .map(|(name, property)| {
            let optional = if required.contains(&name.as_str()) { "" } else { ", may be absent" };
            [
                format!("<code>{}</code>", escape(name)),
                shape(property) + optional,
                text(&property["description"]),
            ]
        })
        .collect();
    write_table(html, "Fields", &rows);
}

/// A schema in a few words.
fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(all) = ["oneOf", "anyOf", "allOf"].iter().find_map(|key| schema[*key].as_array()) {
        return all.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    if schema["items"].is_object() {
        return format!("list of {}", shape(&schema["items"]));
    }
    let words: Vec<String> = match &schema["type"] {
        Value::String(one) => vec![escape(one)],
        Value::Array(all) => all.iter().map(text).collect(),
        _ => vec!["anything".to_owned()],
    };
    let format =
        schema["format"].as_str().map_or_else(String::new, |format| format!(" ({})", escape(format)));
    words.join(" or ") + &format
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_says_of_its_routes_is_text_and_nothing_else() {
        let document = serde_json::json!({
            "info": { "title": "<T>", "version": "1", "description": "a & b" },
            "tags": [{ "name": "x", "description": "<script>" }],
            "paths": { "/a": { "get": {
                "tags": ["x"], "summary": "\"><img>", "security": [{ "key": ["jobs:read"] }],
                "responses": { "200": { "description": "fine" } },
            } } },
            "components": { "schemas": { "S": { "properties": { "p": { "type": ["string", "null"] } } } } },
        });
        let html = render(&document);
        assert!(!html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"));
        assert!(
            html.contains("Needs: <code>jobs:read</code>") && html.contains("string or null, may be absent")
        );
    }
}
