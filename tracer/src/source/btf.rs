//! A reader of the kernel's BTF: where fields lie in its structures.
//!
//! It reads the type section once and keeps only the position of each type, which
//! takes a few milliseconds for the five megabytes of a distribution's kernel.
//! Format: Documentation/bpf/btf.rst.

use std::{fs, path::Path};

use super::error::SourceError;

/// Where the kernel offers its BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;

/// A parsed BTF blob.
pub struct Btf {
    data: Vec<u8>,
    /// Position of each type in `data`, by type id; id 0 is void.
    types: Vec<usize>,
    strings: usize,
}

/// Why BTF could not be read or a path in it not be found.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The blob is not BTF, or ends too early.
    #[error("malformed BTF at byte {at}")]
    Malformed {
        /// Where reading failed.
        at: usize,
    },
    /// The kernel has no such structure or field.
    #[error("no {path} in this kernel's BTF")]
    NotFound {
        /// The path that was asked for.
        path: String,
    },
}

impl Btf {
    /// Reads the running kernel's BTF.
    ///
    /// # Errors
    /// [`SourceError::NoBtf`] where the file is missing or can't be read.
    pub fn of_kernel() -> Result<Self, SourceError> {
        let data = fs::read(Path::new(VMLINUX)).map_err(SourceError::NoBtf)?;
        Self::parse(data).map_err(|error| SourceError::NoBtf(std::io::Error::other(error)))
    }

    /// What was read.
    pub fn blob(&self) -> &[u8] {
        &self.data
    }

    /// Finds the types in a blob.
    ///
    /// # Errors
    /// [`BtfError::Malformed`]
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let mut btf = Self { data, types: vec![0], strings: 0 };
        if btf.u32(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Malformed { at: 0 });
        }
        let header = btf.u32(4)? as usize;
        let mut at = header + btf.u32(8)? as usize;
        let end = at + btf.u32(12)? as usize;
        btf.strings = header + btf.u32(16)? as usize;
        while at < end {
            btf.types.push(at);
            let info = btf.u32(at + 4)?;
            let (kind, members) = (info >> 24 & 0x1f, info as usize & 0xffff);
            at += 12
                + match kind {
                    // INT, VAR, DECL_TAG
                    1 | 14 | 17 => 4,
                    KIND_ARRAY => 12,
                    // STRUCT, UNION, DATASEC, ENUM64
                    KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * members,
                    // ENUM, FUNC_PROTO
                    KIND_ENUM | 13 => 8 * members,
                    _ => 0,
                };
        }
        Ok(btf)
    }

    /// The byte offset of a field, given as `structure.field.field`. Members of
    /// anonymous structures and unions count as the outer one's; pointers are not
    /// followed.
    ///
    /// # Errors
    /// [`BtfError`]
    pub fn offset(&self, path: &str) -> Result<u32, BtfError> {
        let not_found = || BtfError::NotFound { path: path.to_owned() };
        let mut names = path.split('.');
        let mut id = self.structure(names.next().unwrap_or_default())?;
        let mut bits = 0;
        for name in names {
            let (offset, member) = self.member(id, name)?.ok_or_else(not_found)?;
            bits += offset;
            id = member;
        }
        if bits % 8 == 0 { Ok(bits / 8) } else { Err(not_found()) }
    }

    /// The size in bytes of a structure.
    ///
    /// # Errors
    /// [`BtfError`]
    pub fn size(&self, structure: &str) -> Result<u32, BtfError> {
        let id = self.structure(structure)?;
        self.u32(self.position(id)? + 8)
    }

    /// The value of an enumerator.
    ///
    /// # Errors
    /// [`BtfError`]
    pub fn enumerator(&self, enumeration: &str, name: &str) -> Result<u32, BtfError> {
        let at = self.position(self.named(KIND_ENUM, enumeration)?)?;
        for i in 0..self.u32(at + 4)? as usize & 0xffff {
            let item = at + 12 + 8 * i;
            if self.is_string(self.u32(item)? as usize, name) {
                return self.u32(item + 4);
            }
        }
        Err(BtfError::NotFound { path: format!("{enumeration}.{name}") })
    }

    /// Whether there is a raw tracepoint of a name, whose arguments the kernel describes
    /// by a typedef.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.named(KIND_TYPEDEF, &format!("btf_trace_{name}")).is_ok()
    }

    /// The id of a function.
    ///
    /// # Errors
    /// [`BtfError`]
    pub fn function(&self, name: &str) -> Result<u32, BtfError> {
        self.named(KIND_FUNC, name)
    }

    /// The id of a structure.
    ///
    /// # Errors
    /// [`BtfError`]
    pub fn structure(&self, name: &str) -> Result<u32, BtfError> {
        self.named(KIND_STRUCT, name)
    }

    /// The first type of a kind and name.
    fn named(&self, kind: u32, name: &str) -> Result<u32, BtfError> {
        for (id, &at) in self.types.iter().enumerate().skip(1) {
            if self.u32(at + 4)? >> 24 & 0x1f == kind
                && self.is_string(self.u32(at)? as usize, name)
            {
                // Ids are 32 bits by the format.
                return Ok(u32::try_from(id).unwrap_or(u32::MAX));
            }
        }
        Err(BtfError::NotFound { path: name.to_owned() })
    }

    /// A member's bit offset and type, looking into anonymous members.
    fn member(&self, id: u32, name: &str) -> Result<Option<(u32, u32)>, BtfError> {
        let at = self.position(self.resolved(id)?)?;
        let info = self.u32(at + 4)?;
        let kind = info >> 24 & 0x1f;
        if kind != KIND_STRUCT && kind != KIND_UNION {
            return Ok(None);
        }
        let bitfields = info >> 31 != 0;
        for i in 0..info as usize & 0xffff {
            let member = at + 12 + 12 * i;
            let (member_name, member_type) = (self.u32(member)? as usize, self.u32(member + 4)?);
            let mut bits = self.u32(member + 8)?;
            if bitfields {
                bits &= 0xff_ffff;
            }
            if member_name == 0 {
                if let Some((inner, found)) = self.member(member_type, name)? {
                    return Ok(Some((bits + inner, found)));
                }
            } else if self.is_string(member_name, name) {
                return Ok(Some((bits, member_type)));
            }
        }
        Ok(None)
    }

    /// Steps over typedef, volatile, const, restrict and type_tag.
    fn resolved(&self, mut id: u32) -> Result<u32, BtfError> {
        loop {
            let at = self.position(id)?;
            if !matches!(self.u32(at + 4)? >> 24 & 0x1f, KIND_TYPEDEF | 9 | 10 | 11 | 18) {
                return Ok(id);
            }
            id = self.u32(at + 8)?;
        }
    }

    fn position(&self, id: u32) -> Result<usize, BtfError> {
        let at = id as usize;
        self.types.get(at).copied().filter(|_| id != 0).ok_or(BtfError::Malformed { at })
    }

    fn is_string(&self, offset: usize, wanted: &str) -> bool {
        let start = self.strings + offset;
        let bytes = self.data.get(start..start + wanted.len() + 1);
        bytes
            .and_then(|bytes| bytes.split_last())
            .is_some_and(|(nul, text)| *nul == 0 && text == wanted.as_bytes())
    }

    fn u32(&self, at: usize) -> Result<u32, BtfError> {
        let bytes = self.data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or(BtfError::Malformed { at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_malformed_and_no_panic() {
        for data in [vec![], vec![0; 3], vec![0; 64], vec![0x9f, 0xeb, 1, 0, 255, 255, 255, 127]] {
            assert!(matches!(Btf::parse(data), Err(BtfError::Malformed { .. })));
        }
    }
}
