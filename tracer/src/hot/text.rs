//! Numbers, times and addresses as JSON has them.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;
use tracer_common::{
    flags::{AF_INET, AF_INET6},
    record::Status,
};

use crate::{event::rfc3339, record::Name};

/// Appends bytes.
#[inline]
pub fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

/// Appends a number.
#[inline]
pub fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    push(out, itoa::Buffer::new().format(number).as_bytes());
}

/// Appends an address in hex, with 0x.
pub fn push_hex(out: &mut Vec<u8>, address: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    push(out, b"0x");
    let digits = (67 - address.leading_zeros().min(63)) / 4;
    for i in (0..digits).rev() {
        out.push(DIGITS[(address >> (i * 4) & 15) as usize]);
    }
}

/// Appends a source address; None where it is not of the usual kinds.
pub fn push_name(out: &mut Vec<u8>, name: &Name<'_>) -> Option<()> {
    match name.status {
        Status::Absent => {
            push(out, b"null");
            return Some(());
        }
        Status::Read => {}
        _ => return None,
    }
    let (family, rest) = name.bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    match u16::from_le_bytes(*family) {
        AF_INET => {
            let (ip, _) = rest.split_first_chunk::<4>()?;
            push(out, br#"{"family":"AF_INET","ip":""#);
            push_ipv4(out, Ipv4Addr::from(*ip));
            push(out, br#"","port":"#);
            push_number(out, u16::from_be_bytes(*port));
        }
        AF_INET6 => {
            let (flowinfo, rest) = rest.split_first_chunk()?;
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let (scope_id, _) = rest.split_first_chunk()?;
            push(out, br#"{"family":"AF_INET6","ip":""#);
            write!(out, "{}", Ipv6Addr::from(*ip)).ok()?;
            push(out, br#"","port":"#);
            push_number(out, u16::from_be_bytes(*port));
            push(out, br#","flowinfo":"#);
            push_number(out, u32::from_be_bytes(*flowinfo));
            push(out, br#","scope_id":"#);
            push_number(out, u32::from_le_bytes(*scope_id));
        }
        _ => return None,
    }
    push(out, b"}");
    Some(())
}

fn push_ipv4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    for (i, octet) in ip.octets().into_iter().enumerate() {
        if i != 0 {
            push(out, b".");
        }
        push_number(out, octet);
    }
}

/// A second as text, since most events are in the same one as the event before.
#[derive(Default)]
pub struct Second {
    of: Option<i64>,
    /// `2026-11-20T20:41:07.`
    text: Vec<u8>,
}

impl Second {
    /// Appends a time as [`rfc3339`] shows it.
    pub fn push(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let second = time.as_second();
        let Ok(mut rest) = u32::try_from(time.subsec_nanosecond()) else {
            // Before 1970.
            return push(out, rfc3339(time).as_bytes());
        };
        if self.of != Some(second) {
            let text = rfc3339(time);
            let whole = text.find('.').map_or(text.as_str(), |at| &text[..=at]);
            self.text.clear();
            push(&mut self.text, whole.as_bytes());
            self.of = Some(second);
        }
        push(out, &self.text);
        let mut digits = [b'0'; 9];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        push(out, &digits);
        push(out, b"Z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_hex() {
        for address in [0, 1, 15, 16, 255, 0x7ffd_e00e_3890, u64::MAX, 1 << 63, 1 << 32] {
            let mut out = Vec::new();
            push_hex(&mut out, address);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{address:#x}"));
        }
    }

    #[test]
    fn times() {
        let mut second = Second::default();
        for ns in [
            0_i128,
            1,
            999_999_999,
            1_000_000_000,
            1_790_000_000_123_456_789,
            1_790_000_000_000_000_001,
            -1,
            -1_500_000_000,
        ] {
            let time = Timestamp::from_nanosecond(ns).unwrap();
            let mut out = Vec::new();
            second.push(time, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), rfc3339(time));
        }
    }
}
