//! Callers that mean harm, or are broken: memory, lengths and names that nobody would
//! pass by intention. For `--detail full --payload` [`super::detail::PAYLOAD`].
//!
//! Each truth also has `$seen`, what the caller saw of the call, which must be the same
//! where nobody traces.

pub mod lengths;
pub mod lies;
pub mod memory;
pub mod names;
pub mod race;
pub mod vanished;

use serde_json::{Value, json};

use super::Context;
use super::batch::Batch;
use super::call::Made;
use super::detail;
use super::truth::{absent, error, hex_of};

/// An address that nobody has.
pub const NOWHERE: u64 = 0xffff_0000;

/// Writes down a call, after `fix` has said what is special of it.
fn tell(context: &Context, made: &Made, batch: &Batch, fix: impl FnOnce(&mut Value)) -> Value {
    let mut truth = detail::told(context, made, batch);
    fix(&mut truth);
    truth["$seen"] = seen(made.ret, batch);
    context.recorder.record(&truth);
    truth
}

/// What the caller saw, as far as it is the same each time.
fn seen(ret: i64, batch: &Batch) -> Value {
    let messages: Vec<_> = (0..batch.capacity())
        .map(|i| {
            json!({"len": batch.len(i), "flags": batch.flags(i), "namelen": batch.namelen(i),
                   "controllen": batch.controllen(i), "data": hex_of(&batch.data(i))})
        })
        .collect();
    json!({"ret": ret, "messages": messages})
}

/// An error came after the first message, and the next call will return it.
fn deferred(truth: &mut Value, errno: i32) {
    truth["socket"]["pending_error"] = error(-i64::from(errno));
    find(truth, "deferred_error");
}

/// Adds a finding that comes before those that a call's own truth knows.
fn find(truth: &mut Value, finding: &str) {
    truth["findings"].as_array_mut().expect("a list").insert(0, json!(finding));
}

/// A message was received, and the call failed when its name could not be written.
fn delivered(truth: &mut Value) {
    let mut findings = truth["findings"].clone();
    findings.as_array_mut().expect("a list").insert(0, json!("delivered_then_efault"));
    truth["delivered"] = absent();
    truth["$with"] = json!({"lengths": {"$all": {"delivered": 1, "findings": findings}}});
}

/// What is open of a call that delivered data and failed: whether its messages are shown.
fn leave_open(truth: &mut Value) {
    let fields = truth.as_object_mut().expect("an object");
    fields.remove("messages");
    fields.remove("findings");
}
