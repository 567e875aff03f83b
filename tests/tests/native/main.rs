//! The tracer on a real kernel: workloads make calls and know what they did, and the
//! tracer's events must say the same.
//!
//! [`calls`] asks what a kernel and a hook show of calls, by every way in; these tests
//! need nothing of the tracer but that it runs, and may share one ([`tests::shared`]).
//! [`options`] asks what the tracer's options do, and each test starts its own.
//! [`loading`] asks what becomes of the programs themselves.

mod calls;
mod loading;
mod options;
mod shared;

/// The program whose calls are traced.
const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
