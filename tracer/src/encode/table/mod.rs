//! `--output table`: a line per call, for people at a terminal.
//!
//! Columns are fixed for a width, and no line is longer than it. A wider terminal
//! has more of them (`columns`); each is one cell of an event (`cells`), and the
//! rest of the line tells what was received (`digest`). What comes from strangers
//! is escaped (`text`). `?` is a value that could not be had, `-` is NULL.

mod cells;
mod columns;
mod digest;
mod text;

#[cfg(test)]
mod tests;

use columns::{Align, Column, Layout};
use digest::Digest;
use text::Line;

pub use text::{escape, width};

use crate::event::Event;

/// The encoder.
#[derive(Debug)]
pub struct Table {
    width: usize,
    color: bool,
    layout: Layout,
    /// The header that describes the lines to come is not written yet.
    header_due: bool,
}

impl Table {
    /// A table for a terminal of that many columns. It is readable from 40 columns
    /// up.
    pub fn new(width: usize, color: bool) -> Self {
        Self { width, color, layout: Layout::of(width), header_due: true }
    }

    /// Fits the lines to come to another width.
    pub fn resize(&mut self, width: usize) {
        if width != self.width {
            *self = Self::new(width, self.color);
        }
    }

    /// The line that names the columns, with its newline.
    ///
    /// [`Table::event`] and [`Table::health`] write it before their first line and
    /// after a change of width; nobody else has to.
    pub fn header(&self) -> String {
        let mut out = Vec::new();
        self.write_header(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        let cells = self
            .layout
            .columns()
            .map(|(column, width)| (column, width, cells::STRONG, column.title().to_owned()));
        let mut line = Line::new(out, self.width, self.color);
        row(&mut line, cells);
        line.put(cells::STRONG, Column::Messages.title());
        line.finish();
    }

    fn write_due_header(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.header_due) {
            self.write_header(out);
        }
    }

    /// Appends a call's line.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.write_due_header(out);
        let cells = self.layout.columns().map(|(column, width)| {
            let (style, text) = cells::cell(column, event);
            (column, width, style, text)
        });
        let mut line = Line::new(out, self.width, self.color);
        row(&mut line, cells);
        for (i, part) in Digest::of(event, &self.layout, line.left()).iter().enumerate() {
            if i > 0 {
                line.pad_to(line.used() + 1);
            }
            line.put(part.style, &part.text);
        }
        line.finish();
    }

    /// Appends the line of a health record: `kind` as in the JSON, and what there
    /// is to say. Loss stands out, the others stay in the background.
    pub fn health(&mut self, kind: &str, text: &str, out: &mut Vec<u8>) {
        self.write_due_header(out);
        let style = if kind == "loss" { cells::CAUTION } else { cells::DIM };
        let mut line = Line::new(out, self.width, self.color);
        line.put(style, &escape(format!("-- {kind}: {text}").as_bytes()));
        line.finish();
    }
}

/// Writes the cells and the space after the last one. Text is cut to its column. A
/// number is never cut, since that would make it another number: it shifts what
/// follows, up to where a column has room to spare. So does an error's name, which
/// no messages follow.
fn row(line: &mut Line<'_>, cells: impl Iterator<Item = (Column, usize, anstyle::Style, String)>) {
    let mut start = 0;
    for (column, width, style, text) in cells {
        let end = start + width;
        match column.align() {
            Align::Right => {
                line.pad_to(end.saturating_sub(text::width(&text)));
                line.put(style, &text);
            }
            Align::Left => {
                let room = match column {
                    Column::Ret => usize::MAX,
                    _ => end.saturating_sub(line.used()),
                };
                line.put(style, &text::clip(&text, room));
            }
        }
        start = end + 1;
        line.pad_to(start.max(line.used() + 1));
    }
}
