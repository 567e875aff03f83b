//! Which columns a terminal of some width has room for, and how wide each is.

/// A column of the table, in the order of display. The messages, which take the
/// rest of the line, are not one of them but for [`STEPS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Time of day of the call's entry.
    Time,
    /// Thread group id.
    Pid,
    /// Thread id.
    Tid,
    /// The parent's thread group id.
    Ppid,
    /// Real user id.
    Uid,
    /// The thread's name.
    Comm,
    /// The kernel's name for the call.
    Call,
    /// `sockfd`
    Fd,
    /// `vlen`
    Vlen,
    /// `flags`
    Flags,
    /// `timeout`, as requested.
    Timeout,
    /// Exit minus entry.
    Latency,
    /// Return value, or the error's name.
    Ret,
    /// A digest of the messages.
    Messages,
}

/// Where a column's text lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl Column {
    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Time => "TIME (UTC)",
            Self::Pid => "PID",
            Self::Tid => "TID",
            Self::Ppid => "PPID",
            Self::Uid => "UID",
            Self::Comm => "COMM",
            Self::Call => "CALL",
            Self::Fd => "FD",
            Self::Vlen => "VLEN",
            Self::Flags => "FLAGS",
            Self::Timeout => "TIMEOUT",
            Self::Latency => "LATENCY",
            Self::Ret => "RET",
            Self::Messages => "MESSAGES",
        }
    }

    /// Where the text lies.
    pub const fn align(self) -> Align {
        match self {
            Self::Time | Self::Comm | Self::Call | Self::Flags | Self::Ret | Self::Messages => {
                Align::Left
            }
            _ => Align::Right,
        }
    }
}

/// What a wider terminal gains, in this order: a column of that width, or that
/// width for a column that is there already. Each step is taken only if all
/// before it were.
const STEPS: &[(Column, usize)] = &[
    // Together 40 columns: when, who, and what came of it.
    (Column::Time, 12),
    (Column::Comm, 8),
    (Column::Ret, 6),
    (Column::Messages, 11),
    (Column::Pid, 7),
    (Column::Latency, 7),
    (Column::Fd, 3),
    (Column::Vlen, 4),
    // `1472 B 192.168.1.20:12345`: within 80 columns.
    (Column::Messages, 25),
    (Column::Timeout, 7),
    (Column::Flags, 10),
    (Column::Comm, 12),
    (Column::Tid, 7),
    (Column::Messages, 28),
    (Column::Comm, 15),
    // Within 160 columns; the longest is `recvmmsg_time64/i386`.
    (Column::Call, 20),
    (Column::Messages, 35),
    (Column::Flags, 14),
    (Column::Uid, 5),
    (Column::Messages, 40),
    (Column::Ppid, 7),
    (Column::Flags, 21),
    (Column::Messages, 64),
];

/// The steps that are taken at any width.
const ALWAYS: usize = 4;

/// The columns of a table of one width.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Columns and their widths, in the order of display, without the messages.
    columns: Vec<(Column, usize)>,
    messages: usize,
}

impl Layout {
    /// The columns that fit. A width below 40 gets those of 40, and its lines are
    /// cut off.
    pub fn of(width: usize) -> Self {
        let mut layout = Self { columns: Vec::new(), messages: 0 };
        for (i, (column, wanted)) in STEPS.iter().copied().enumerate() {
            let mut next = layout.clone();
            next.set(column, wanted);
            if i >= ALWAYS && next.needed() > width {
                break;
            }
            layout = next;
        }
        layout.columns.sort_by_key(|(column, _)| *column as usize);
        layout.messages = width.saturating_sub(layout.needed() - layout.messages);
        layout
    }

    fn set(&mut self, column: Column, width: usize) {
        if column == Column::Messages {
            self.messages = width;
            return;
        }
        match self.columns.iter_mut().find(|(present, _)| *present == column) {
            Some((_, present)) => *present = width,
            None => self.columns.push((column, width)),
        }
    }

    /// Width of all of it, with a space between columns.
    fn needed(&self) -> usize {
        self.columns.iter().map(|(_, width)| width + 1).sum::<usize>() + self.messages
    }

    /// Columns with their widths, in the order of display, without the messages.
    pub fn columns(&self) -> impl Iterator<Item = (Column, usize)> {
        self.columns.iter().copied()
    }

    /// Whether there is such a column.
    pub fn has(&self, wanted: Column) -> bool {
        self.columns.iter().any(|(column, _)| *column == wanted)
    }

    /// Whether the messages have room for `from` before their senders.
    pub fn has_room_for_from(&self) -> bool {
        self.messages >= 28
    }

    /// Whether they have room for their number, which is the return value too.
    pub fn has_room_for_count(&self) -> bool {
        self.messages >= 40
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: usize) -> Vec<&'static str> {
        Layout::of(width).columns().map(|(column, _)| column.title()).collect()
    }

    #[test]
    fn columns_come_in_their_order() {
        assert_eq!(titles(40), ["TIME (UTC)", "COMM", "RET"]);
        assert_eq!(titles(80), ["TIME (UTC)", "PID", "COMM", "FD", "VLEN", "LATENCY", "RET"]);
        let at_120 = titles(120);
        assert!(at_120.contains(&"FLAGS") && at_120.contains(&"TID"), "{at_120:?}");
        let at_160 = titles(160);
        assert!(at_160.contains(&"CALL"), "{at_160:?}");
    }

    #[test]
    fn a_wider_table_never_loses_a_column() {
        for width in 1..300 {
            let (narrow, wide) = (Layout::of(width), Layout::of(width + 1));
            for (column, _) in narrow.columns() {
                assert!(wide.has(column), "{column:?} at {}", width + 1);
            }
            if width >= 40 {
                assert_eq!(narrow.needed(), width);
            }
        }
    }
}
