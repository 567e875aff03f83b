//! A call of strace's in the shape of the tracer's events: the truth's language, so that
//! [`crate::compare`] holds the two against each other. What strace does not tell is not
//! in it, and [`Told::untold`] says why.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::log::{Call, End};
use super::message;
use super::value::{Field, Value};
use crate::workload::truth::{absent, hex};

/// What strace tells of a call.
pub struct Told {
    /// Fields of the event.
    pub truth: Json,
    /// Rows of [`super::known::TABLE`] that say what it does not tell.
    pub untold: BTreeSet<&'static str>,
}

/// What a value was to be, and what it is.
pub type Result<T> = std::result::Result<T, String>;

/// Says a call in the words of events; None for another system call.
///
/// # Errors
/// A value where another kind of value belongs.
pub fn tell(call: &Call) -> Result<Option<Told>> {
    let mut told = Told { truth: json!({}), untold: BTreeSet::new() };
    match (call.name.as_str(), call.args.first()) {
        ("recvmmsg" | "recvmmsg_time64", _) => arguments(&mut told, call)?,
        ("socketcall", Some(Value::Number(19, _))) => told.note("socketcall-block"),
        // Calls that look like it: the tracer says nothing of them either.
        ("socketcall", Some(Value::Number(_, _))) => return Ok(None),
        (name, _) if name.starts_with("syscall_0x") => return Ok(None),
        (name, _) => return Err(format!("a call of {name}")),
    }
    told.truth["syscall"] = json!({"nr": call.nr});
    told.truth["process"] = json!({"tid": call.tid});
    if call.restarts > 0 {
        told.note("restarts");
    }
    match &call.end {
        End::Returned(ret, _) => {
            told.truth["ret"] = json!(ret);
            told.truth["error"] = Json::Null;
        }
        End::Failed(name) => {
            told.truth["ret"] = json!({"min": -4095, "max": -1});
            told.truth["error"] = json!({"name": name});
        }
        End::Never => told.truth["ret"] = Json::Null,
        End::Interrupted => return Err("a call that is still interrupted".to_owned()),
    }
    Ok(Some(told))
}

impl Told {
    /// Adds a row that says why something is not told.
    pub fn note(&mut self, row: &'static str) {
        self.untold.insert(row);
    }
}

/// The arguments and what the kernel wrote behind them.
fn arguments(told: &mut Told, call: &Call) -> Result<()> {
    let args = &call.args;
    let Some(fd) = args.first() else { return Err("no arguments".to_owned()) };
    told.truth["args"]["sockfd"]["value"] = json!(number(fd)?);
    let [_, msgvec, vlen, flags, timeout] = args.as_slice() else {
        if call.end != End::Never {
            return Err(format!("{} arguments", args.len()));
        }
        told.note("no-return");
        return Ok(());
    };
    told.truth["args"]["vlen"]["value"] = json!(number(vlen)?);
    told.truth["args"]["flags"] = named_flags(flags)?;
    requested(told, call, timeout)?;
    let received = match call.end {
        End::Returned(received, _) => received,
        _ => 0,
    };
    told.truth["messages"] = absent();
    match msgvec {
        Value::List(list) => {
            told.note("array-address");
            let messages: Vec<_> = list.iter().filter(|item| **item != Value::More).collect();
            if !messages.is_empty() {
                let all: Result<Vec<_>> =
                    messages.iter().map(|message| message::tell(told, message)).collect();
                told.truth["messages"] = all?.into();
            }
            if messages.len() == 1024 && list.len() > 1024 {
                told.note("1024-messages");
                told.truth["truncated"]["messages"] = json!(received - 1024);
            } else if messages.len() < list.len() {
                told.note("unreadable-message");
            }
        }
        Value::Null => {
            told.truth["args"]["msgvec"]["value"] = hex(0);
            told.note("failed-call");
        }
        Value::Number(address, _) => {
            told.truth["args"]["msgvec"]["value"] = hex(unsigned(*address)?);
            if received > 0 {
                let halves = [337, 417].contains(&call.nr) && address >> 32 != 0;
                told.note(if halves { "unreadable-array" } else { "vanished" });
                told.truth.as_object_mut().expect("an object").remove("messages");
            } else {
                told.note("failed-call");
                if call.end == End::Failed("EFAULT".to_owned()) {
                    // It may have delivered some all the same, which strace does not say.
                    told.truth.as_object_mut().expect("an object").remove("messages");
                }
            }
        }
        other => return Err(format!("an array, not {other:?}")),
    }
    Ok(())
}

/// The timeout, and what was left of it.
fn requested(told: &mut Told, call: &Call, timeout: &Value) -> Result<()> {
    let mut truth = json!({});
    match timeout {
        Value::Null => truth = json!({"value": null, "requested": absent()}),
        Value::Number(address, _) => {
            truth["value"] = hex(unsigned(*address)?);
            told.note("unreadable-timeout");
        }
        other => truth["requested"] = timespec(told, other)?,
    }
    match &call.end {
        End::Returned(_, Some(left @ Value::Struct(_))) => {
            truth["remaining"] = timespec(told, left)?
        }
        // The same address once more.
        End::Returned(_, Some(Value::Number(_, _))) if matches!(timeout, Value::Number(_, _)) => {}
        End::Returned(_, Some(other)) => return Err(format!("what was left, not {other:?}")),
        _ => truth["remaining"] = absent(),
    }
    told.truth["args"]["timeout"] = truth;
    Ok(())
}

fn timespec(told: &mut Told, value: &Value) -> Result<Json> {
    let [sec, nsec] = fields(value, ["tv_sec", "tv_nsec"])?;
    let nsec = match &nsec.value {
        Value::Number(nsec, _) if *nsec > i64::MAX.into() => {
            told.note("unsigned-nanoseconds");
            // The same 64 bits.
            unsigned(*nsec)?.cast_signed()
        }
        other => number(other)?,
    };
    Ok(json!({"sec": number(&sec.value)?, "nsec": nsec}))
}

/// A word of flags with its names; what has none is one number at the end, as in ours.
pub fn named_flags(value: &Value) -> Result<Json> {
    let Value::Number(bits, names) = value else { return Err(format!("flags, not {value:?}")) };
    let names: Vec<_> = names.iter().flat_map(|names| names.split('|')).collect();
    Ok(json!({"value": unsigned(*bits)?, "names": names}))
}

/// The fields of a structure, which must be these.
pub fn fields<'a, const N: usize>(value: &'a Value, names: [&str; N]) -> Result<[&'a Field; N]> {
    let wrong = || format!("a structure of {names:?}, not {value:?}");
    let Value::Struct(fields) = value else { return Err(wrong()) };
    let all: Vec<_> = fields.iter().collect();
    let same = fields.iter().map(|field| field.name.as_str()).eq(names);
    if same { all.try_into().map_err(|_| wrong()) } else { Err(wrong()) }
}

/// A number as JSON has it.
pub fn number(value: &Value) -> Result<i64> {
    match value {
        Value::Number(value, _) => i64::try_from(*value).map_err(|error| error.to_string()),
        other => Err(format!("a number, not {other:?}")),
    }
}

/// A number that is none below zero.
pub fn unsigned(value: i128) -> Result<u64> {
    u64::try_from(value).map_err(|error| format!("{value}: {error}"))
}
