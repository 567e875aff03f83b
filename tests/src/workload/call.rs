//! One call: made, timed, and told.

use serde_json::{Value, json};

use super::batch::Batch;
use super::describe;
use super::entry::{Entry, invoke};
use super::process;
use super::truth::{Clock, absent, error, flags, hex, interval, name};

/// A call to make.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The way into the kernel.
    pub entry: Entry,
    /// The socket.
    pub fd: i32,
    /// The headers.
    pub batch: &'a Batch,
    /// How many of them the kernel may use.
    pub vlen: u32,
    /// Flags.
    pub flags: u32,
    /// Seconds and nanoseconds; None is the NULL pointer.
    pub timeout: Option<(i64, i64)>,
    /// An address for `msgvec` other than the batch's.
    pub msgvec: Option<u64>,
    /// An address for `timeout` other than the batch's; `timeout` says what lies there.
    pub timeout_at: Option<u64>,
}

impl<'a> Call<'a> {
    /// A call that does not block, asks for the whole batch and has no timeout.
    pub fn new(entry: Entry, fd: i32, batch: &'a Batch) -> Self {
        Self {
            entry,
            fd,
            batch,
            vlen: batch.capacity() as u32,
            flags: libc::MSG_DONTWAIT as u32,
            timeout: None,
            msgvec: None,
            timeout_at: None,
        }
    }

    /// With these flags.
    pub fn flags(self, flags: i32) -> Self {
        Self { flags: flags as u32, ..self }
    }

    /// With this timeout.
    pub fn timeout(self, sec: i64, nsec: i64) -> Self {
        Self { timeout: Some((sec, nsec)), ..self }
    }

    /// With this vlen.
    pub fn vlen(self, vlen: u32) -> Self {
        Self { vlen, ..self }
    }

    /// The registers, after the timeout has been put where it belongs.
    fn prepare(&self) -> [u64; 5] {
        let word = self.entry.timeout_word();
        let timeout = match (self.timeout, self.timeout_at) {
            (_, Some(addr)) => addr,
            (Some((sec, nsec)), None) => self.batch.put_timeout(word, sec, nsec),
            (None, None) => 0,
        };
        let msgvec = self.msgvec.unwrap_or_else(|| self.batch.msgvec());
        [self.fd as u32 as u64, msgvec, self.vlen.into(), self.flags.into(), timeout]
    }

    /// Makes the call.
    pub fn make(self) -> Made<'a> {
        let args = self.prepare();
        let socketcall = self.entry == Entry::Socketcall;
        let block = if socketcall { self.batch.put_block(args) } else { 0 };
        self.enter(args, block)
    }

    /// Makes a `socketcall` whose argument block lies elsewhere.
    pub fn make_at(self, block: u64) -> Made<'a> {
        let args = self.prepare();
        self.enter(args, block)
    }

    fn enter(self, args: [u64; 5], block: u64) -> Made<'a> {
        let batch = self.batch;
        let count = batch.capacity().min(self.vlen as usize);
        let offered = (0..count).map(|i| (batch.namelen(i), batch.controllen(i))).collect();
        let entered = Moment::now();
        let ret = invoke(self.entry, args, block);
        Made { call: self, args, offered, entered, left: Moment::now(), ret }
    }
}

/// The same moment on two clocks, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// CLOCK_MONOTONIC.
    pub mono: i64,
    /// CLOCK_REALTIME.
    pub wall: i64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { mono: Clock::mono(), wall: Clock::wall() }
    }
}

/// What another thread saw of a call while it lasted.
#[derive(Clone, Copy, Debug)]
pub struct Inside {
    /// The caller was seen blocked in the call for the first time.
    pub seen: Moment,
    /// What the call was waiting for was done after this.
    pub acted: Moment,
}

/// A call that has returned.
pub struct Made<'a> {
    call: Call<'a>,
    args: [u64; 5],
    /// `namelen` and `controllen` of each message at entry.
    offered: Vec<(u64, u64)>,
    entered: Moment,
    left: Moment,
    /// What userspace was returned; a negative errno on failure.
    pub ret: i64,
}

impl Made<'_> {
    /// The truth about the call, where the tracer shows `limit` messages of it.
    pub fn truth(&self, limit: usize) -> Value {
        self.truth_with(limit, None)
    }

    /// The truth about the call, with tighter bounds from another thread.
    pub fn truth_with(&self, limit: usize, inside: Option<Inside>) -> Value {
        let call = &self.call;
        let entry = call.entry;
        let lasted = self.left.mono - self.entered.mono;
        let at_least = inside.map_or(1, |inside| inside.acted.mono - inside.seen.mono);
        let entered_by = inside.map_or(self.left, |inside| inside.seen);
        let received = usize::try_from(self.ret).unwrap_or(0);
        let shown = received.min(limit);
        let (socket, missing) = describe::socket(call.fd);
        let mut truth = json!({
            "schema": "tracer.event/1",
            "time": interval(self.entered.wall, entered_by.wall),
            "time_exit": absent(),
            "event": entry.event(),
            "syscall": {"name": entry.syscall_name(), "nr": entry.nr(), "abi": entry.abi()},
            "process": process::identity(),
            "args": self.args_truth(),
            "socket": socket,
            "ret": self.ret,
            "error": error(self.ret),
            "latency_ns": interval(at_least, lasted),
            "messages": absent(),
            "truncated": null,
            "missing": missing,
        });
        if let Some(cpu) = only_cpu() {
            truth["cpu"] = json!(cpu);
        }
        if received > 0 {
            truth["messages"] = self.messages(shown);
        }
        if received > shown {
            truth["truncated"] = json!({"messages": received - shown});
        }
        truth["findings"] = self.findings(&truth, at_least, lasted);
        truth
    }

    /// What must be found of the call, and nothing else; as it was made, and not as it
    /// was captured.
    fn findings(&self, truth: &Value, at_least: i64, lasted: i64) -> Value {
        /// A tick of 100 Hz.
        const GRANULARITY: i64 = 10_000_000;
        let call = &self.call;
        let mut found = Vec::new();
        let flagged = |flag: i32| {
            let messages = truth["messages"].as_array().cloned().unwrap_or_default();
            let has = |message: &Value| {
                message["flags"]["value"].as_u64().is_some_and(|flags| flags & flag as u64 != 0)
            };
            messages.iter().any(has)
        };
        let readable = call.timeout.filter(|_| self.args[4] != 0 && call.timeout_at.is_none());
        if let Some((sec, nsec)) = readable {
            let limit = sec.saturating_mul(1_000_000_000).saturating_add(nsec) + GRANULARITY;
            if at_least > limit {
                found.push("timeout_overrun");
            } else if lasted > limit {
                // Its own bounds don't tell.
                return json!({"$one_of": [[], ["timeout_overrun"], ["blocks_forever_risk"],
                    ["timeout_overrun", "blocks_forever_risk"]]});
            }
            let waits = call.flags as i32 & (libc::MSG_DONTWAIT | libc::MSG_WAITFORONE) == 0;
            let socket = &truth["socket"];
            if waits
                && call.vlen > 1
                && socket["nonblocking"] == false
                && socket["rcvtimeo"].is_null()
            {
                found.push("blocks_forever_risk");
            }
        }
        for (flag, name) in
            [(libc::MSG_TRUNC, "payload_truncated"), (libc::MSG_CTRUNC, "control_truncated")]
        {
            if flagged(flag) {
                found.push(name);
            }
        }
        if matches!(call.entry.abi(), "i386") {
            found.push("compat_on_64bit");
        }
        json!(found)
    }

    fn args_truth(&self) -> Value {
        let call = &self.call;
        let user = call.entry == Entry::Socketcall;
        let kernel = if user { json!(["U", "TOCTOU"]) } else { json!(["K"]) };
        let mut flag = flags(call.flags);
        flag["tags"] = kernel.clone();
        json!({
            "sockfd": {"value": call.fd, "tags": kernel},
            "msgvec": {"value": hex(self.args[1]), "tags": ["U", "TOCTOU"]},
            "vlen": {"value": call.vlen, "tags": kernel},
            "flags": flag,
            "timeout": self.timeout_truth(),
        })
    }

    fn timeout_truth(&self) -> Value {
        let word = self.call.entry.timeout_word();
        let mut truth = json!({
            "value": if self.args[4] == 0 { Value::Null } else { hex(self.args[4]) },
            "requested": absent(),
            "remaining": absent(),
            "tags": ["U", "TOCTOU", "OPT"],
        });
        if let Some((sec, nsec)) = self.call.timeout {
            truth["requested"] = json!({"sec": sec, "nsec": nsec});
            if self.ret > 0 {
                assert_eq!(self.call.timeout_at, None, "the scenario knows what remains");
                let (sec, nsec) = self.call.batch.timeout(word);
                truth["remaining"] = json!({"sec": sec, "nsec": nsec});
            }
        }
        truth
    }

    /// The first messages, as they lie in the batch.
    pub fn messages(&self, count: usize) -> Value {
        (0..count).map(|i| self.message(i)).collect()
    }

    /// Whether the timeout lies where it can't be read, so that the call does not know it.
    pub fn timeout_is_closed(&self) -> bool {
        self.call.timeout_at.is_some() && self.call.timeout.is_none()
    }

    fn message(&self, i: usize) -> Value {
        let batch = self.call.batch;
        let (namelen, controllen) = self.offered[i];
        json!({
            "len": batch.len(i),
            "name": name(batch.name(i).as_deref(), namelen, batch.namelen(i)),
            "namelen": {"in": namelen, "out": batch.namelen(i)},
            "flags": flags(batch.flags(i)),
            "control": {"len_in": controllen, "len_out": batch.controllen(i)},
        })
    }
}

/// The CPU that this thread is bound to, if it is bound to one.
fn only_cpu() -> Option<usize> {
    // SAFETY: a set of bits, all zero being the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes into the set that is as long as told.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    assert_eq!(result, 0, "sched_getaffinity");
    // SAFETY: the set is initialised, and the indices are below its size.
    let mut cpus = (0..1024).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
    match (cpus.next(), cpus.next()) {
        (Some(cpu), None) => Some(cpu),
        _ => None,
    }
}
