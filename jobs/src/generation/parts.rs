//! What the whole book and single steps have in common: a plan, a summary, a chapter out of a model's text.

use presswork::domain::Failure;

use super::{
    Brief,
    clean::{Cleaned, Kept, chapter as cleaned, unwrapped},
    extract,
    outline::{self, MOST_PLAN, Planned},
    pen::Pen,
    people::listed,
    prompts::Scene,
    templates::{Name, Templates, Values},
};
use crate::{
    book::{BookError, Metadata, words::WordCount},
    model::Finish,
};

/// How often a plan is asked for.
const MOST_PLANS: u32 = 2;
/// How many words sum up a chapter.
const SUMMARY_WORDS: u32 = 120;
/// Fewer words are no summary.
const LEAST_SUMMARY_WORDS: u64 = 5;

/// A plan of as many chapters as the brief says, and what is to be said about it.
pub(super) async fn plan(
    pen: &mut Pen,
    templates: &Templates,
    brief: &Brief,
    sheets: &[String],
) -> Result<(Vec<Planned>, Option<String>), Failure> {
    let wanted = brief.chapters as usize;
    let scene = Scene { brief: brief.values(), chapters: &[], index: 0, sheets, previous: "" };
    // A title and a few sentences for each.
    let output = pen.output(brief.chapters.saturating_mul(80));
    let mut best: Vec<Planned> = Vec::new();
    if let Ok(request) = pen.request(templates.get(Name::Outline), &|level| scene.values(level), output)? {
        for attempt in 1..=MOST_PLANS {
            let mut request = request.clone();
            if let Some(last) = request.messages.last_mut().filter(|_| attempt > 1) {
                // Another question: the same one may be answered from the cache.
                last.text.push_str(&format!(
                    "\n\nThe last answer was no plan of {wanted} chapters. Answer with the JSON alone. (Attempt {attempt}.)"
                ));
            }
            let answered = pen.ask("outline", &request).await?;
            let chapters = outline::read(&answered.text, wanted).unwrap_or_default();
            if chapters.len() > best.len() {
                best = chapters;
            }
            if best.len() == wanted {
                return Ok((best, None));
            }
        }
    }
    let warning = match best.len() {
        0 => format!(
            "the model gave no plan of {wanted} chapters: each has the plan that its place in a story suggests"
        ),
        some => format!(
            "the model planned {some} of {wanted} chapters: the others have the plan that their place in a story suggests"
        ),
    };
    Ok((outline::filled_up(best, wanted), Some(warning)))
}

/// A text in a few sentences of the model's; empty where none come.
pub(super) async fn sum_up(
    pen: &mut Pen,
    templates: &Templates,
    values: &Values,
    text: &str,
    step: &str,
) -> Result<String, Failure> {
    let shown = |level: usize| {
        let most = [60_000, 20_000, 8_000, 3_000, 1_200][level.min(4)];
        let text = head_and_tail(text, most);
        values.clone().with("words", SUMMARY_WORDS.to_string()).with("text", text)
    };
    let Ok(request) = pen.request(templates.get(Name::Summary), &shown, pen.output(SUMMARY_WORDS))? else {
        return Ok(String::new());
    };
    let answered = pen.ask(step, &request).await?;
    let mut summary = unwrapped(&answered.text);
    if answered.finish == Finish::Length {
        summary = &summary[..extract::whole_sentences(summary)];
    }
    Ok(if WordCount::of(summary) < LEAST_SUMMARY_WORDS {
        String::new()
    } else {
        extract::cut(summary, MOST_PLAN)
    })
}

/// A text without its middle, where it is longer than so many characters.
fn head_and_tail(text: &str, most: usize) -> String {
    match text.char_indices().nth(most / 2) {
        Some((half, _)) if text.chars().nth(most).is_some() => {
            format!("{}\n\n[…]\n\n{}", text[..half].trim_end(), extract::tail(text, most / 2))
        }
        _ => text.to_owned(),
    }
}

/// A chapter out of a model's text, on a thread that may take its time.
pub(super) async fn clean(text: String, title: &str) -> Result<Cleaned, Failure> {
    clean_with(text, title, Kept::default()).await
}

/// The same with pictures and links that may stay.
pub(super) async fn clean_with(text: String, title: &str, kept: Kept) -> Result<Cleaned, Failure> {
    let title = title.to_owned();
    let read = tokio::task::spawn_blocking(move || cleaned(&text, &title, &kept)).await;
    read.map_err(Failure::retry)?.map_err(|error: BookError| error.into())
}

/// A chapter's Markdown without its first line, where that is its title.
pub(super) fn without_title(markdown: &str) -> &str {
    match markdown.split_once('\n') {
        Some((title, text)) if title.starts_with("# ") => text.trim(),
        _ => markdown.trim(),
    }
}

/// What a book's title page says.
pub(super) fn metadata(title: &str, author: &str, language: &str) -> Metadata {
    let author = author.trim();
    Metadata {
        title: title.trim().to_owned(),
        authors: if author.is_empty() { Vec::new() } else { vec![author.to_owned()] },
        language: language.to_owned(),
        ..Metadata::default()
    }
}

/// Sheets of the brief's characters, in short; for kinds that have no chapter to tell them for.
pub(super) fn in_short(sheets: &[String]) -> String {
    listed(sheets, 500)
}
