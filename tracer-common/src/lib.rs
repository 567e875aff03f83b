//! What tracer's kernel programs and its daemon both read: the event
//! [`registry`], the [`record`]s that travel through the ring buffer, the
//! [`config`]uration that the daemon hands to the kernel programs, and the
//! [`stats`] they keep.
//!
//! Nothing here names aya, std or another crate of this workspace, and nothing
//! here is `unsafe`: the layouts are plain `repr(C)` integers whose zerocopy
//! derives refuse padding.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod abi;
pub mod check;
pub mod config;
pub mod copies;
pub mod detail;
pub mod flags;
pub mod hint;
pub mod record;
pub mod registry;
pub mod stats;
pub mod tags;
