//! Records of ordinary calls straight to JSON, without an [`Event`](crate::event::Event)
//! in between: most of what a busy stream consists of.
//!
//! Ordinary is a call of which nothing is missing, truncated or found, and whose values
//! are of the usual kinds. Everything else is left to [`decode`] and [`json`]; so are
//! the descriptions of each process and each socket, which are made there once and kept
//! ([`Recent`]). A caller in a loop mostly makes the same call again, so that what it called
//! with what is kept, too. A property test shows that what is written here is what is written
//! there, byte for byte.

mod call;
mod recent;
mod text;

use tracer_common::record::{OwnIds, Socket, Status, Task, flags, socket};
use zerocopy::IntoBytes;

use crate::{
    decode::{self, Clock, findings},
    encode::json,
    event::{Event, Known, RunId},
    process::Processes,
    record::{Messages, Record},
};
use call::Shape;
use recent::Recent;
use text::{Second, push, push_name, push_number};

/// Flags of records that are ordinary.
const ORDINARY: u32 =
    flags::RESTARTED | flags::ARGS_FROM_USER | flags::NO_MESSAGES | flags::INITIAL_PID_NS;
/// Flags of a message from which something is concluded.
const TELLING: u32 = findings::MSG_TRUNC | findings::MSG_CTRUNC;
const RMEM: &[u8] = b"\"rmem\":";

/// What is kept from call to call.
pub struct Hot {
    /// By the task as the kernel programs saw it: `process` of its events.
    processes: Recent<Caller, Vec<u8>>,
    /// By the socket, but for what its receive queue takes: `socket`, before and after that.
    sockets: Recent<Socket, [Vec<u8>; 2]>,
    /// By what was called with what: `syscall` and `args`, before and after the process.
    calls: Recent<Shape, [Vec<u8>; 2]>,
    /// By the return value: `error`.
    errors: Recent<i64, Vec<u8>>,
    /// By their value: flags with their names.
    flags: Recent<u32, Vec<u8>>,
    second: Second,
    /// What start times were shown by.
    boottime: i64,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            processes: Recent::new(1024),
            sockets: Recent::new(1024),
            calls: Recent::new(1024),
            errors: Recent::new(64),
            flags: Recent::new(64),
            second: Second::default(),
            boottime: 0,
        }
    }
}

impl Hot {
    /// Appends the line of an ordinary call, as [`json::line`] would write its event;
    /// false, and nothing is appended, where the call is not ordinary.
    pub fn line(
        &mut self,
        record: &Record<'_>,
        clock: &Clock,
        processes: &mut Processes,
        (run, seq): (RunId, u64),
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let written = self.write(record, clock, processes, (run, seq), out).is_some();
        if !written {
            out.truncate(start);
        }
        written
    }

    fn write(
        &mut self,
        record: &Record<'_>,
        clock: &Clock,
        processes: &mut Processes,
        (run, seq): (RunId, u64),
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let header = &record.call.header;
        if header.flags & !ORDINARY != 0 || record.task().unknown != 0 || !record.copies.is_empty()
        {
            return None;
        }
        let caller = Caller(*record.task(), record.own_ids?);
        let messages = ordinary_messages(record)?;
        let socket = match &record.socket {
            None => None,
            Some(facts) => match facts.status {
                Status::Absent => None,
                Status::Read if is_ordinary(&facts.socket) => Some(facts.socket),
                _ => return None,
            },
        };
        if clock.boottime != self.boottime {
            self.processes.clear();
            self.boottime = clock.boottime;
        }
        self.learn(record, &caller, clock, processes, socket.as_ref())?;

        push(out, br#"{"schema":"tracer.event/1","time":""#);
        self.second.push(clock.wall(header.entry_ns)?, out);
        push(out, br#"","run_id":""#);
        push(out, run.as_str().as_bytes());
        push(out, br#"","seq":"#);
        push_number(out, seq);
        push(out, br#","event":""#);
        push(out, record.event.name.as_bytes());
        push(out, br#"","cpu":"#);
        push_number(out, header.cpu);
        let call = Shape::of(record);
        if self.calls.get(&call).is_none() {
            self.calls.put(call, call::around_process(record)?);
        }
        let [before, after] = self.calls.get(&call)?;
        push(out, before);
        push(out, self.processes.get(&caller)?);
        push(out, after);
        if let Some(socket) = socket {
            let [before, after] = self.sockets.get(&without_fill(&socket))?;
            push(out, br#","socket":"#);
            push(out, before);
            push_number(out, socket.rmem);
            push(out, after);
        }
        push(out, br#","ret":"#);
        push_number(out, header.ret);
        push(out, br#","error":"#);
        self.error(header.ret, out)?;
        push(out, br#","latency_ns":"#);
        push_number(out, header.exit_ns.saturating_sub(header.entry_ns));
        if let Some(messages) = messages {
            self.messages(messages, out)?;
        }
        push(out, b",\"truncated\":null,\"findings\":[],\"missing\":{}}\n");
        Some(())
    }

    /// Sees to it that the process and the socket are known.
    fn learn(
        &mut self,
        record: &Record<'_>,
        caller: &Caller,
        clock: &Clock,
        processes: &mut Processes,
        socket: Option<&Socket>,
    ) -> Option<()> {
        let key = socket.map(without_fill);
        let known = key.is_none_or(|key| self.sockets.get(&key).is_some());
        if known && self.processes.get(caller).is_some() {
            return Some(());
        }
        let mut event = decode::decode(record, clock);
        processes.complete(record, &mut event);
        if !event.missing.is_empty() {
            return None;
        }
        self.processes.put(*caller, serde_json::to_vec(&event.process).ok()?);
        if let Some(key) = key {
            self.sockets.put(key, around_fill(&event)?);
        }
        Some(())
    }

    /// `{"value":64,"names":["MSG_DONTWAIT"]`: what follows is the caller's.
    fn flags(&mut self, value: u32, out: &mut Vec<u8>) -> Option<()> {
        if self.flags.get(&value).is_none() {
            let mut shown = Vec::new();
            call::push_flags(&mut shown, value)?;
            self.flags.put(value, shown);
        }
        push(out, self.flags.get(&value)?);
        Some(())
    }

    fn error(&mut self, ret: i64, out: &mut Vec<u8>) -> Option<()> {
        if ret >= 0 {
            push(out, b"null");
            return Some(());
        }
        if self.errors.get(&ret).is_none() {
            self.errors.put(ret, serde_json::to_vec(&decode::error(ret)?).ok()?);
        }
        push(out, self.errors.get(&ret)?);
        Some(())
    }

    fn messages(&mut self, messages: &Messages<'_>, out: &mut Vec<u8>) -> Option<()> {
        push(out, br#","messages":["#);
        for (i, name) in messages.names.iter().enumerate() {
            let (entry, exit) = (messages.entry.get(i)?, messages.exit.get(i)?);
            if exit.flags & TELLING != 0 || findings::differs(&entry, &exit) {
                return None;
            }
            push(out, if i == 0 { b"{\"len\":" } else { b",{\"len\":" });
            push_number(out, exit.len);
            push(out, br#","name":"#);
            push_name(out, name)?;
            push(out, br#","namelen":{"in":"#);
            push_number(out, entry.namelen);
            push(out, br#","out":"#);
            push_number(out, exit.namelen);
            push(out, br#"},"flags":"#);
            self.flags(exit.flags, out)?;
            push(out, br#"},"control":{"len_in":"#);
            push_number(out, entry.controllen);
            push(out, br#","len_out":"#);
            push_number(out, exit.controllen);
            push(out, b"}}");
        }
        push(out, b"]");
        Some(())
    }
}

/// The messages, all of which were read at both ends; the inner None of a call without
/// any, the outer one where they are not ordinary.
fn ordinary_messages<'a>(record: &'a Record<'_>) -> Option<Option<&'a Messages<'a>>> {
    let received = usize::try_from(record.call.header.ret).unwrap_or(0);
    let Some(messages) = &record.messages else {
        return (received == 0 || record.has(flags::NO_MESSAGES)).then_some(None);
    };
    let all =
        [messages.entry.len(), messages.exit.len(), messages.exit.wanted, messages.names.len()];
    let whole = received != 0
        && !record.has(flags::NO_MESSAGES)
        && all.iter().all(|len| *len == received)
        && messages.detail.is_empty();
    whole.then_some(Some(messages))
}

fn is_ordinary(socket: &Socket) -> bool {
    socket.flags & socket::NONE == 0
        && socket.error == 0
        && socket.local_len == 0
        && socket.peer_len == 0
}

/// What of a socket does not change with every call.
fn without_fill(socket: &Socket) -> Socket {
    Socket { rmem: 0, ..*socket }
}

/// The JSON of the socket before and after the fill of its receive queue.
fn around_fill(event: &Event) -> Option<[Vec<u8>; 2]> {
    let Some(Known(Some(socket))) = &event.socket else { return None };
    let mut shown = Vec::new();
    json::line(socket, &mut shown).ok()?;
    let at = shown.windows(RMEM.len()).position(|window| window == RMEM)? + RMEM.len();
    let digits = shown.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some([shown.get(..at)?.to_vec(), shown.get(at + digits..)?.trim_ascii_end().to_vec()])
}

/// A caller as the record has it.
#[derive(Clone, Copy)]
struct Caller(Task, OwnIds);

impl recent::Key for Caller {
    fn hash(&self) -> usize {
        self.0.tid as usize
    }

    fn same(&self, other: &Self) -> bool {
        self.0.as_bytes() == other.0.as_bytes() && self.1.as_bytes() == other.1.as_bytes()
    }
}

impl recent::Key for Socket {
    fn hash(&self) -> usize {
        // Inode numbers of sockets rise one by one.
        usize::try_from(self.inode).unwrap_or(0)
    }

    fn same(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl recent::Key for i64 {
    fn hash(&self) -> usize {
        usize::try_from(self.unsigned_abs()).unwrap_or(0)
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl recent::Key for u32 {
    fn hash(&self) -> usize {
        (*self ^ (*self >> 6)) as usize
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }
}
