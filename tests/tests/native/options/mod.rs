//! What the tracer's options do, and how it ends. Each test starts its own tracer.

mod accounts;
mod adds_up;
mod attaching;
mod batches;
mod checks;
mod containers;
mod copies;
mod detail;
mod expressions;
mod filters;
mod follow;
mod loss;
mod order;
mod restricted;
