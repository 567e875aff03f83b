//! Events to bytes, one module per format.

pub mod json;
pub mod table;

use std::io;

use crate::{
    event::Event,
    health::{Health, Kind},
};

/// An encoder of one stream.
pub enum Encoder {
    /// An object per line.
    Json,
    /// A line per call, for people.
    Table(Box<table::Table>),
}

impl Encoder {
    /// Appends an event's line.
    ///
    /// # Errors
    /// What the serialiser says; nothing is appended then.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
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
    pub fn health(&mut self, health: &Health, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
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
