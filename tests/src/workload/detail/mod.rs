//! Scenarios for `--detail full --payload` [`PAYLOAD`]: what is told of each message
//! beside what every call's truth has.

pub mod buffers;
pub mod control;
pub mod errors;
pub mod unix;

use serde_json::{Value, json};

use super::Context;
use super::batch::Batch;
use super::call::Made;
use super::truth::hex;

/// Bytes of payload that the tracer is asked to keep of each message.
pub const PAYLOAD: usize = 48;

/// The truth about a call, with what `--detail full` shows. Messages have one iovec, no
/// control messages, and the content of their buffers as payload, unless a scenario
/// says otherwise.
pub fn told(context: &Context, made: &Made, batch: &Batch) -> Value {
    let mut truth = made.truth(context.options.messages);
    let Some(messages) = truth["messages"].as_array_mut() else { return truth };
    for (i, message) in messages.iter_mut().enumerate() {
        let (base, len) = batch.buffer(i);
        let received = (batch.len(i) as usize).min(len);
        message["iov"] = json!([{"base": hex(base), "len": len}]);
        message["iovlen"] = json!(1);
        message["control"]["items"] = json!([]);
        message["payload"] = text(&batch.data(i)[..received]);
    }
    truth
}

/// The payload of a message whose bytes are text.
pub fn text(bytes: &[u8]) -> Value {
    let kept = &bytes[..bytes.len().min(PAYLOAD)];
    let kept = std::str::from_utf8(kept).expect("text");
    json!({"len": bytes.len(), "captured": kept.len(), "text": kept})
}

/// Says which control messages a message has.
pub fn items(truth: &mut Value, i: usize, items: Value) {
    truth["messages"][i]["control"]["items"] = items;
}
