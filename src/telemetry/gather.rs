//! Lines that are written together: of those that come by the thousand each would be a call of the system of its own. Owns: how
//! long one waits, and that no line overtakes another. Must not know: what a line tells.
//!
//! A line that may wait is on standard error within [`WAIT`], or with the next one that may not. Of a process that is killed the
//! last ones are lost.
//!
//! Standard error may be a pipe that several processes share, and a system writes only [`WHOLE`] bytes to one as a whole: so many
//! whole lines go into one write, and a longer one into a write of its own, which another process may then cut in two.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::Duration,
};

/// How long a line waits for others.
const WAIT: Duration = Duration::from_millis(20);
/// When so many bytes wait they are written, whatever the time.
const MOST: usize = 64 << 10;
/// The most bytes of a write to a pipe that no other one comes between: Linux's `PIPE_BUF`.
const WHOLE: usize = 4 << 10;

static LINES: Lines = Lines::new();
static WRITER: Once = Once::new();

/// Lines that wait.
struct Lines {
    waiting: Mutex<Waiting>,
    some: Condvar,
}

struct Waiting {
    lines: Vec<u8>,
    /// Whether there is a thread that will write them.
    has_writer: bool,
}

impl Lines {
    const fn new() -> Self {
        Self { waiting: Mutex::new(Waiting { lines: Vec::new(), has_writer: false }), some: Condvar::new() }
    }

    /// Writes a line to `out`, or keeps it for the thread that does.
    fn write(&self, line: &[u8], may_wait: bool, out: &mut impl io::Write) -> io::Result<()> {
        let mut waiting = self.waiting();
        waiting.lines.extend_from_slice(line);
        if !may_wait || !waiting.has_writer || waiting.lines.len() >= MOST {
            return waiting.write(out);
        }
        if waiting.lines.len() == line.len() {
            drop(waiting);
            // The first one: the thread sleeps.
            self.some.notify_one();
        }
        Ok(())
    }

    fn flush(&self, out: &mut impl io::Write) -> io::Result<()> {
        self.waiting().write(out)
    }

    /// Waits until there are some, and then that others may come, or somebody writes them.
    fn wait(&self) {
        let some = self.some.wait_while(self.waiting(), |waiting| waiting.lines.is_empty());
        let some = some.unwrap_or_else(PoisonError::into_inner);
        drop(self.some.wait_timeout_while(some, WAIT, |waiting| !waiting.lines.is_empty()));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn write(&mut self, out: &mut impl io::Write) -> io::Result<()> {
        let written = in_wholes(&self.lines).try_for_each(|whole| out.write_all(whole));
        self.lines.clear();
        written
    }
}

/// Lines in pieces of whole ones, each of at most [`WHOLE`] bytes, or of one line that is longer.
fn in_wholes(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let near = lines.get(..WHOLE).filter(|_| lines.len() > WHOLE);
        let end = match near {
            None => lines.len(),
            Some(near) => {
                let ends = |byte: &u8| *byte == b'\n';
                let far = || lines.iter().position(ends).map_or(lines.len(), |end| end + 1);
                near.iter().rposition(ends).map_or_else(far, |end| end + 1)
            }
        };
        let (whole, rest) = lines.split_at(end);
        lines = rest;
        Some(whole).filter(|whole| !whole.is_empty())
    })
}

/// Writes a line to standard error: at once, with all that wait, or a moment later where it `may_wait`.
pub(super) fn write(line: &[u8], may_wait: bool) -> io::Result<()> {
    if may_wait {
        WRITER.call_once(start);
    }
    LINES.write(line, may_wait, &mut io::stderr())
}

/// Writes all that wait.
pub(super) fn flush() {
    // There is nobody left to tell.
    let _ = LINES.flush(&mut io::stderr());
}

/// Starts the thread that writes. Where there can be none, nothing waits.
fn start() {
    let work = || {
        loop {
            LINES.wait();
            flush();
        }
    };
    let started = thread::Builder::new().name("log".to_owned()).spawn(work);
    LINES.waiting().has_writer = started.is_ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_is_written_with_what_may_not_in_the_order_in_which_it_came() {
        let (lines, mut out) = (Lines::new(), Vec::new());
        lines.write(b"nobody would write it\n", true, &mut out).unwrap();
        assert_eq!(out, b"nobody would write it\n");
        out.clear();
        lines.waiting().has_writer = true;
        lines.write(b"1\n", true, &mut out).unwrap();
        lines.write(b"2\n", true, &mut out).unwrap();
        assert_eq!(out, b"");
        lines.wait();
        lines.write(b"3\n", false, &mut out).unwrap();
        assert_eq!(out, b"1\n2\n3\n");
        lines.write(b"4\n", true, &mut out).unwrap();
        lines.flush(&mut out).unwrap();
        assert_eq!(out, b"1\n2\n3\n4\n");
    }

    #[test]
    fn no_more_wait_than_so_many() {
        let (lines, mut out) = (Lines::new(), Vec::new());
        lines.waiting().has_writer = true;
        let line = [b'x'; 1_000];
        for _ in 0..100 {
            lines.write(&line, true, &mut out).unwrap();
            assert!(lines.waiting().lines.len() < MOST);
        }
        assert!(out.len() >= MOST);
    }

    /// What each write was given.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_write_is_of_whole_lines_that_no_pipe_tears_or_of_one_that_is_longer() {
        let (lines, mut out) = (Lines::new(), Writes::default());
        lines.waiting().has_writer = true;
        let mut all = Vec::new();
        for length in [1, 100, 3_995, 4_096, 1, 4_097, 9_000, 5, 4_000, 90, 7, 1_000, 1_000, 1_000, 1_000] {
            let mut line = vec![b'x'; length - 1];
            line.push(b'\n');
            lines.write(&line, true, &mut out).unwrap();
            all.extend(line);
        }
        assert!(out.0.is_empty());
        lines.flush(&mut out).unwrap();
        assert_eq!(out.0.concat(), all);
        for write in &out.0 {
            assert_eq!(write.last(), Some(&b'\n'));
            let is_one = write.iter().filter(|byte| **byte == b'\n').count() == 1;
            assert!(write.len() <= WHOLE || is_one, "{}", write.len());
        }
        let sizes: Vec<_> = out.0.iter().map(Vec::len).collect();
        assert_eq!(sizes, [4_096, 4_096, 1, 4_097, 9_000, 4_095, 4_007]);
    }
}
