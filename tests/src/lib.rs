//! Tests of tracer on the machine's own kernel.
//!
//! [`workload`] makes calls and writes down what it did, as it alone can know;
//! the harness modules run the tracer beside it, read what the tracer said, and
//! compare the two field by field. The tests themselves lie in `tests/tests/`.

pub mod workload;
