//! What is open and what ends it.

use super::*;

fn steps(html: &str) -> String {
    let mut tree = Tree::new(Text::of("x.html", html), "x.html");
    let (mut out, mut open) = (String::new(), Vec::new());
    while let Some(step) = tree.next().unwrap() {
        match step {
            Step::Start(element) => {
                out.push_str(&format!("<{}>", element.name));
                open.push(element.name);
            }
            Step::End => out.push_str(&format!("</{}>", open.pop().unwrap())),
            Step::Text(text) => out.push_str(&text),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    out
}

#[test]
fn what_is_left_open_ends_where_browsers_end_it() {
    for (html, wanted) in [
        ("<p>a<p>b<div>c", "<p>a</p><p>b</p><div>c</div>"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>d", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>d"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        (
            "<table><tr><td>a<td><p>b<tr><th>c</table>d",
            "<table><tr><td>a</td><td><p>b</p></td></tr><tr><th>c</th></tr></table>d",
        ),
        ("<div><table><tr><td>a</div>b</table>c</div>", "<div><table><tr><td>ab</td></tr></table>c</div>"),
        ("<head><title>t</title><p>a", "<head><title>t</title></head><p>a</p>"),
        ("<h2>a<h3>b</h2>c", "<h2>a</h2><h3>b</h3>c"),
        ("a<br>b</br>c<hr/>d<img src=x>", "a<br></br>b<br></br>c<hr></hr>d<img></img>"),
        ("</p></div>a</span>", "a"),
        ("<body>a</body></html>b", "<body>ab</body>"),
        ("<form><p>a</form>b", "<div><p>a</p></div>b"),
    ] {
        assert_eq!(steps(html), wanted, "{html}");
    }
}

#[test]
fn runs_that_cross_others_go_on() {
    for (html, wanted) in [
        ("<b>a<i>b</b>c</i>d", "<b>a<i>b</i></b><i>c</i>d"),
        ("<p><b>a<p>b</b>c", "<p><b>a</b></p><p><b>b</b>c</p>"),
        ("<p><i>a</p><p>b</i>c</p>", "<p><i>a</i></p><p><i>b</i>c</p>"),
        ("<b><p>a</b>b</p>c", "<b><p>ab</p></b>c"),
    ] {
        assert_eq!(steps(html), wanted, "{html}");
    }
}

#[test]
fn what_is_nested_too_deep_counts_for_its_text_and_what_comes_behind_is_whole() {
    let html = format!("{}x{}<p>y</p>", "<div>".repeat(5_000), "</div>".repeat(5_000));
    let mut tree = Tree::new(Text::of("x.html", &html), "x.html");
    let (mut depth, mut deepest, mut text) = (0_usize, 0, String::new());
    while let Some(step) = tree.next().unwrap() {
        match step {
            Step::Start(_) => depth += 1,
            Step::End => depth -= 1,
            Step::Text(piece) => text.push_str(&format!("{piece}{depth} ")),
        }
        deepest = deepest.max(depth);
    }
    assert_eq!((deepest, text.as_str(), tree.too_deep), (MOST_DEPTH, "x512 y1 ", 1));
    // Start tags alone: nothing grows.
    assert!(steps(&"<b><i>".repeat(100_000)).len() < 100_000);
    assert_eq!(steps(&"</b></div>".repeat(1_000)), "");
}
