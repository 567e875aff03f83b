//! Tests of tracer on the machine's own kernel.
//!
//! ```text
//! workload ─► real calls ─► kernel ─► tracer ─► lines of JSON ─► stream ┐
//!    └──────► truth ────────────────────────────────────────────► compare
//! ```
//! [`workload`] makes calls and writes down what it did, as it alone can know;
//! [`tracer`] runs the tracer around or beside it ([`shared`]: one for many tests); [`stream`] reads what the tracer
//! said and checks what must hold of every stream ([`schema`]: of every line); [`compare`] holds the two against
//! each other, field by field. The tests themselves lie in `tests/tests/`.

pub mod bpf;
pub mod cases;
pub mod certificates;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod compare;
pub mod compat;
pub mod confine;
pub mod cpus;
pub mod far;
pub mod honest;
pub mod hook;
pub mod manager;
pub mod nats;
pub mod schema;
pub mod shared;
pub mod skip;
pub mod status;
pub mod strace;
pub mod stream;
pub mod tools;
pub mod tracer;
pub mod workload;
