//! strace's log (`-f -n -o`) as calls, in the order in which they returned.
//!
//! A call that a signal interrupts fails in the kernel with ERESTARTSYS, which no caller
//! ever sees, and strace prints that. What becomes of it shows later: `rt_sigreturn`
//! returns EINTR to where it was made, or the thread makes it once more.

use std::collections::BTreeMap;

use super::value::{Cursor, Error, Result, Value};

/// One call, as its caller saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The thread.
    pub tid: u32,
    /// The number.
    pub nr: u32,
    /// strace's name for it.
    pub name: String,
    /// The arguments; fewer than there are where the call did not return.
    pub args: Vec<Value>,
    /// How it ended.
    pub end: End,
    /// How often it was interrupted and made once more.
    pub restarts: u32,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned, and what was left of the timeout.
    Returned(i64, Option<Value>),
    /// It failed.
    Failed(String),
    /// A signal interrupted it; not to stay so.
    Interrupted,
    /// The thread ended in it.
    Never,
}

/// What a line says, after the thread and the call's number.
enum Line {
    Call {
        name: String,
        args: Vec<Value>,
        end: End,
    },
    Unfinished(String),
    /// Signals, and ends of threads.
    Other,
}

/// The numbers that reach recvmmsg, of x86-64, i386 and x32.
const OURS: [u32; 5] = [299, 337, 417, 102, 0x4000_0000 | 537];

/// The calls of a log.
///
/// # Errors
/// A line that is not understood, or that its like can't follow.
pub fn calls(log: &str) -> std::result::Result<Vec<Call>, String> {
    let mut calls = Vec::new();
    let mut threads = BTreeMap::<u32, Thread>::new();
    for line in log.lines() {
        let wrong = |error: Error| format!("{error}\n  in {}", &line[..line.len().min(2000)]);
        let mut cursor = Cursor::new(line);
        let (tid, nr) = place(&mut cursor).map_err(wrong)?;
        let thread = threads.entry(tid).or_default();
        match thread.line(&mut cursor).map_err(wrong)? {
            Line::Other => {}
            // A thread that others have ended before strace could look at its call.
            Line::Unfinished(text) if text == "???(" && !OURS.contains(&nr) => {}
            Line::Unfinished(text) => thread.unfinished = Some(text),
            Line::Call { name, args, end } => {
                let call = Call { tid, nr, name, args, end, restarts: 0 };
                calls.extend(thread.call(call));
            }
        }
    }
    match threads.iter().find(|(_, thread)| thread.under_way()) {
        Some((tid, _)) => Err(format!("the log ends within a call of thread {tid}")),
        None => Ok(calls),
    }
}

/// `PID [ NR] `
fn place(cursor: &mut Cursor) -> Result<(u32, u32)> {
    let tid = cursor.number()?;
    cursor.spaces();
    cursor.expect("[")?;
    cursor.spaces();
    let nr = cursor.number()?;
    cursor.expect("] ")?;
    match (u32::try_from(tid), u32::try_from(nr)) {
        (Ok(tid), Ok(nr)) => Ok((tid, nr)),
        _ => cursor.error("a thread's id and a call's number before"),
    }
}

/// What is known of a thread.
#[derive(Default)]
struct Thread {
    /// The beginning of a call's line, whose end is still to come.
    unfinished: Option<String>,
    /// Calls that were interrupted, the last one last: a handler may be interrupted too.
    interrupted: Vec<Call>,
}

impl Thread {
    fn under_way(&self) -> bool {
        self.unfinished.is_some() || !self.interrupted.is_empty()
    }

    fn line(&mut self, cursor: &mut Cursor) -> Result<Line> {
        if cursor.eat("--- ") {
            if cursor.eat("stopped by SIG") {
                cursor.name();
            } else {
                cursor.expect("SIG")?;
                cursor.name();
                cursor.expect(" ")?;
                cursor.value()?;
            }
            cursor.expect(" ---")?;
            cursor.end()?;
            return Ok(Line::Other);
        }
        if cursor.eat("+++ ") {
            if cursor.eat("exited with ") || cursor.eat("superseded by execve in pid ") {
                cursor.number()?;
            } else {
                cursor.expect("killed by SIG")?;
                cursor.name();
            }
            cursor.expect(" +++")?;
            cursor.end()?;
            return Ok(Line::Other);
        }
        if cursor.eat("<... ") {
            let name = cursor.until(" resumed>")?;
            let Some(before) = self.unfinished.take() else {
                return cursor.error("no end of a call that did not begin");
            };
            if !before.starts_with(name) {
                return cursor.error(format!("the end of {before:?}"));
            }
            return whole(&format!("{before}{}", cursor.rest));
        }
        if self.unfinished.is_some() {
            return cursor.error("the end of the call that is under way");
        }
        whole(cursor.rest)
    }

    /// A call has ended; returns it as its caller saw it, if it is one of ours.
    fn call(&mut self, mut call: Call) -> Option<Call> {
        if call.name == "rt_sigreturn" {
            if call.end != End::Failed("EINTR".to_owned()) {
                return None;
            }
            // Of a call that failed with EINTR by itself there is none.
            let mut call = self.interrupted.pop()?;
            call.end = End::Failed("EINTR".to_owned());
            return Some(call);
        }
        if self.interrupted.last().is_some_and(|before| again(before, &call)) {
            call.restarts = self.interrupted.pop().map_or(0, |before| before.restarts + 1);
        }
        if call.end == End::Interrupted {
            self.interrupted.push(call);
            return None;
        }
        Some(call)
    }
}

/// Whether a call is an interrupted one that the kernel makes once more: what the
/// registers hold is the same.
fn again(before: &Call, call: &Call) -> bool {
    let scalars = |call: &Call| [0, 2, 3].map(|i| call.args.get(i).cloned());
    before.nr == call.nr && before.name == call.name && scalars(before) == scalars(call)
}

/// `NAME(ARGS) = RESULT`, or the beginning of it.
fn whole(text: &str) -> Result<Line> {
    let mut cursor = Cursor::new(text);
    if let Some(before) = text.strip_suffix(" <unfinished ...>") {
        return Ok(Line::Unfinished(before.to_owned()));
    }
    let name = cursor.name().to_owned();
    if name.is_empty() {
        return cursor.error("a call's name");
    }
    cursor.expect("(")?;
    let mut args = Vec::new();
    if !cursor.eat(")") {
        loop {
            if cursor.eat(" <unfinished ...>) = ?") {
                cursor.end()?;
                return Ok(Line::Call { name, args, end: End::Never });
            }
            args.push(cursor.value()?);
            if cursor.eat(")") {
                break;
            }
            cursor.expect(", ")?;
        }
    }
    cursor.spaces();
    cursor.expect("= ")?;
    let end = result(&mut cursor)?;
    cursor.end()?;
    Ok(Line::Call { name, args, end })
}

fn result(cursor: &mut Cursor) -> Result<End> {
    if cursor.eat("? ERESTARTSYS (") {
        cursor.until(")")?;
        return Ok(End::Interrupted);
    }
    if cursor.eat("?") {
        return Ok(End::Never);
    }
    let value = cursor.number()?;
    if value == -1 && cursor.eat(" E") {
        let name = format!("E{}", cursor.name());
        cursor.expect(" (")?;
        cursor.until(")")?;
        return Ok(End::Failed(name));
    }
    let mut left = None;
    if cursor.eat(" (left ") {
        left = Some(cursor.value()?);
        cursor.expect(")")?;
    } else {
        // Of every call that returns 0, whatever was asked for.
        cursor.eat(" (Timeout)");
    }
    match i64::try_from(value) {
        Ok(value) if value >= 0 => Ok(End::Returned(value, left)),
        _ => cursor.error("a count before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(log: &str) -> Vec<(u32, End, u32)> {
        let calls = calls(log).unwrap_or_else(|error| panic!("{error}"));
        calls.into_iter().map(|call| (call.tid, call.end, call.restarts)).collect()
    }

    const INTERRUPTED: &str = "1 [ 299] recvmmsg(4, 0x40, 1, 0, NULL) = ? ERESTARTSYS (To be)\n\
        1 [ 299] --- SIGUSR2 {si_signo=12 /* SIGUSR2 */, si_code=0xfffffffa /* SI_TKILL */} ---\n";

    #[test]
    fn a_call_that_is_made_once_more_is_one() {
        let log = format!(
            "{INTERRUPTED}1 [  15] rt_sigreturn({{mask=[]}}) = 299\n\
             1 [ 299] recvmmsg(4, [], 1, 0, NULL) = 1\n1 [ 231] +++ exited with 0 +++\n"
        );
        assert_eq!(ends(&log), [(1, End::Returned(1, None), 1)]);
    }

    #[test]
    fn a_call_that_is_not_fails() {
        let eintr = "1 [  15] rt_sigreturn({mask=[USR1]}) = -1 EINTR (Interrupted system call)\n";
        let log = format!("{INTERRUPTED}{eintr}");
        assert_eq!(ends(&log), [(1, End::Failed("EINTR".to_owned()), 0)]);
    }

    #[test]
    fn lines_of_other_threads_come_between() {
        let log = "1 [ 299] recvmmsg(4,  <unfinished ...>\n\
            2 [ 299] recvmmsg(5,  <unfinished ...>) = ?\n\
            2 [ 299] +++ killed by SIGKILL +++\n\
            1 [ 299] <... recvmmsg resumed>[], 1, 0, {tv_sec=1, tv_nsec=0}) = 1 (left {tv_sec=0, tv_nsec=9})\n";
        let ends = ends(log);
        assert_eq!(ends[0], (2, End::Never, 0));
        assert!(matches!(&ends[1], (1, End::Returned(1, Some(Value::Struct(_))), 0)), "{ends:?}");
    }

    #[test]
    fn another_call_that_its_thread_ends_in() {
        let log = "1 [  14] ???( <unfinished ...>\n1 [  14] +++ exited with 0 +++\n";
        assert_eq!(ends(log), []);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for log in [
            "recvmmsg(4) = 0\n",
            "1 [ 299] +++ gone +++\n",
            "1 [ 299] recvmmsg(4) = 0 (something)\n",
            "1 [ 299] recvmmsg(4) = -5\n",
            "1 [ 299] recvmmsg(4\n",
            "1 [ 299] recvmmsg(4) = 0 \n",
            "1 [ 299] <... recvmmsg resumed>4) = 0\n",
            "1 [ 299] recvmmsg(4,  <unfinished ...>\n",
            "1 [ 299] recvmmsg(4) = ? ERESTARTSYS (To be)\n",
            "1 [ 299] strace: something\n",
            "1 [ 299] ???( <unfinished ...>\n",
        ] {
            calls(log).expect_err(log);
        }
    }
}
