//! tracer: the recvmmsg calls of a Linux machine as a stream of events.
//!
//! ```text
//! source ─► record ─► decode ─► filter ─► encode ─► sink
//! ```
//! [`source`] runs the kernel programs (or [`recording`] plays their records back)
//! and yields bytes; [`record`] turns bytes into a checked record, [`decode`] a
//! record into an [`event`], [`encode`] an event into the bytes of one format,
//! [`sink`] writes bytes. [`pipeline`] alone sees them all, and counts what each
//! could not pass on. [`cli`] is the program around it, and [`confine`] what that gives up
//! once it is attached.
//!
//! `event` imports nothing of ours; `filter` and `encode` import `event`; only
//! `filter::pushdown` knows what the kernel can filter; only `source` names aya and
//! uses `unsafe`.
#![deny(missing_docs, unsafe_code)]

pub mod catalog;
pub mod cli;
pub mod confine;
pub mod decode;
pub mod encode;
pub mod event;
pub mod filter;
pub mod health;
pub mod hot;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod pipeline;
pub mod process;
pub mod record;
pub mod recording;
pub mod sink;
#[expect(unsafe_code, reason = "maps, and the moment between fork and exec")]
pub mod source;
pub mod tally;
mod trust;
pub mod verify;
