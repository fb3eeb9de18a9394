//! Tags and text, as browsers part them.

use super::*;

fn tokens(html: &str) -> Vec<String> {
    let mut tokens = Tokens::new(Text::of("x.html", html), "x.html");
    let mut all = Vec::new();
    while let Some(token) = tokens.next().unwrap() {
        all.push(match token {
            Token::Start { name, attributes, closes_itself } => {
                let attributes = attributes.iter().map(|(key, value)| format!(" {key}={value:?}"));
                format!("<{name}{}{}>", attributes.collect::<String>(), if closes_itself { "/" } else { "" })
            }
            Token::End { name } => format!("</{name}>"),
            Token::Text(text) => text,
        });
    }
    all
}

#[test]
fn tags_and_text_are_parted_as_browsers_do() {
    for (html, wanted) in [
        (
            "<P CLASS=a title='b &amp; c' hidden>x</P >",
            &["<p class=\"a\" title=\"b & c\" hidden=\"\">", "x", "</p>"][..],
        ),
        (
            "a < b &lt; c &nosuch; &copy 1 &#233;&#xE9;&#150;&#0;&",
            &["a ", "< b < c &nosuch; © 1 éé–\u{fffd}&"],
        ),
        ("<a href=x?a=1&copy=2>", &["<a href=\"x?a=1&copy=2\">"]),
        ("<br/><img src=a.png/><p/ id=x>", &["<br/>", "<img src=\"a.png/\">", "<p id=\"x\">"]),
        ("<!-- <p> --><!-->a<!doctype html><?xml x?><![CDATA[ y ]]></ z>b", &["a", "b"]),
        ("<script>if (a</b>c) '</scripty>'</SCRIPT >x", &["<script>", "</script>", "x"]),
        ("<title>A &amp; <b></title>", &["<title>", "A & <b>", "</title>"]),
        ("<style>p > a & b {}</style>y<", &["<style>", "</style>", "y", "<"]),
        ("<p id=a id=b onclick='x' =y>", &["<p id=\"a\">"]),
    ] {
        assert_eq!(tokens(html), wanted, "{html}");
    }
}

#[test]
fn what_has_no_end_takes_no_memory_and_is_told() {
    let value = "x".repeat(3 * MOST_VALUE_BYTES);
    let html = format!("<p title='{value}'><img src='data:image/png;base64,{}'>", "A".repeat(17 << 20));
    let mut all = Tokens::new(Text::of("x.html", &html), "x.html");
    let Some(Token::Start { attributes, .. }) = all.next().unwrap() else { panic!() };
    assert_eq!(attributes[0].1.len(), MOST_VALUE_BYTES);
    let Some(Token::Start { attributes, .. }) = all.next().unwrap() else { panic!() };
    assert_eq!((attributes[0].1.as_str(), all.cut), ("data:", 2));
    let many = format!("<p {}>x", "a1=b ".repeat(400_000));
    assert_eq!(tokens(&many), ["<p>", "x"]);
    let mut all = Tokens::new(Text::of("x.html", "a<p title=\"b"), "x.html");
    assert_eq!(all.next().unwrap(), Some(Token::Text("a".to_owned())));
    assert_eq!((all.next().unwrap(), all.ends_in_tag), (None, true));
}

#[test]
fn entities_of_its_own_are_refused() {
    let html = "\n<!DOCTYPE html [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><p>&a;";
    let refused = Tokens::new(Text::of("x.html", html), "x.html").next();
    // The line end before it is a text of its own.
    assert_eq!(refused.unwrap(), Some(Token::Text("\n".to_owned())));
    let mut all = Tokens::new(Text::of("x.html", html.trim_start()), "x.html");
    let refused = all.next().unwrap_err().to_string();
    assert!(refused.contains("x.html, line 1") && refused.contains("entities"), "{refused}");
}
