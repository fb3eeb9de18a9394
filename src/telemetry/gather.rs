//! Lines that are written together: of those that come by the thousand each would be a call of the system of its own. Owns: how
//! long one waits, and that no line overtakes another. Must not know: what a line tells.
//!
//! A line that may wait is on standard error within [`WAIT`], or with the next one that may not. Of a process that is killed the
//! last ones are lost.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::Duration,
};

/// How long a line waits for others.
const WAIT: Duration = Duration::from_millis(20);
/// So many bytes are written at once, whatever the time.
const MOST: usize = 64 << 10;

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
        let written = out.write_all(&self.lines);
        self.lines.clear();
        written
    }
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
}
