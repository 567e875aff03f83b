//! Events to bytes, one module per format.

pub mod ecs;
pub mod json;
pub mod ocsf;
pub mod own;
pub mod table;
pub mod tracee;

use std::io;

use crate::{
    event::Event,
    health::{Health, Kind, Origin},
};

/// An encoder of one stream.
pub enum Encoder {
    /// An object per line.
    Json,
    /// A line per call, for people.
    Table(Box<table::Table>),
    /// An object per line, in Elastic Common Schema.
    Ecs,
    /// An object per line, in OCSF.
    Ocsf,
    /// An object per line, as Tracee writes it.
    Tracee,
}

impl Encoder {
    /// Appends an event's line.
    ///
    /// # Errors
    /// What the serialiser says; nothing is appended then.
    pub fn event(&mut self, event: &Event, origin: &Origin, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Ecs => ecs::event(event, origin, out),
            Self::Ocsf => ocsf::event(event, origin, out),
            Self::Tracee => tracee::event(event, origin, out),
            Self::Json => json::line(event, out),
            Self::Table(table) => {
                table.event(event, out);
                Ok(())
            }
        }
    }

    /// Appends a health record.
    ///
    /// # Errors
    /// As [`Encoder::event`].
    pub fn health(
        &mut self,
        health: &Health,
        origin: &Origin,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Self::Ecs => ecs::health(health, origin, out),
            Self::Ocsf => ocsf::health(health, origin, out),
            Self::Tracee => tracee::health(health, origin, out),
            Self::Json => json::line(health, out),
            // What else there is to say goes to stderr, on the same terminal.
            Self::Table(table) => {
                if health.kind == Kind::Loss {
                    table.health(health.kind.name(), health.summary(), out);
                }
                Ok(())
            }
        }
    }
}
