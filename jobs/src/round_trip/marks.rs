//! Runs in which neighbours with the same marks say so in one order.

use crate::book::{EndTag, Event, Tag};

/// Marks and links opened anew around runs: links outermost, then marks in a fixed order. Around a line end stand those
/// that its neighbours share, as marks of nothing can't be seen.
pub(super) fn evened(events: Vec<Event<'static>>) -> Vec<Event<'static>> {
    let (mut out, mut open, mut wanted): (Vec<Event<'static>>, Vec<Tag<'static>>, Vec<Tag<'static>>) =
        Default::default();
    // Line ends that wait for what follows them.
    let mut breaks = 0;
    for event in events {
        match &event {
            Event::Start(tag) if rank(&tag.end()).is_some() => wanted.push(tag.clone()),
            Event::End(end) if rank(end).is_some() => {
                wanted.pop();
            }
            Event::HardBreak => breaks += 1,
            Event::Start(_) | Event::End(_) | Event::Rule => {
                close(&mut out, &mut open, 0);
                out.extend((0..std::mem::take(&mut breaks)).map(|_| Event::HardBreak));
                out.push(event);
            }
            _ => {
                let mut sorted = wanted.clone();
                if matches!(event, Event::FootnoteReference(_)) {
                    sorted.retain(|tag| !matches!(tag, Tag::Superscript | Tag::Subscript));
                }
                sorted.sort_by_key(|tag| rank(&tag.end()));
                let shared = open.iter().zip(&sorted).take_while(|(one, other)| one == other).count();
                close(&mut out, &mut open, shared);
                out.extend((0..std::mem::take(&mut breaks)).map(|_| Event::HardBreak));
                for tag in &sorted[shared..] {
                    out.push(Event::Start(tag.clone()));
                }
                open = sorted;
                match (out.last_mut(), event) {
                    (Some(Event::Text(before)), Event::Text(text)) => before.to_mut().push_str(&text),
                    (_, event) => out.push(event),
                }
            }
        }
    }
    out
}

fn close(out: &mut Vec<Event<'static>>, open: &mut Vec<Tag<'static>>, down_to: usize) {
    out.extend(open.drain(down_to..).rev().map(|tag| Event::End(tag.end())));
}

fn rank(end: &EndTag) -> Option<u8> {
    Some(match end {
        EndTag::Link => 0,
        EndTag::Emphasis => 1,
        EndTag::Strong => 2,
        EndTag::Strikethrough => 3,
        EndTag::Superscript => 4,
        EndTag::Subscript => 5,
        _ => return None,
    })
}
