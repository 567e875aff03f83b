//! The committed eBPF object, and the sizes that are set in it before loading.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};
use tracer_common::config::RDONLY_CAST;

use super::error::SourceError;

/// The kernel programs, as `cargo xtask ebpf` built them.
static BYTES: &[u8] = aya::include_bytes_aligned!("../../bpf/tracer.bpf.o");

/// Position of `value_size` in `struct bpf_map_def` (type, key_size, value_size,
/// max_entries, map_flags, …), all 32 bits wide.
const VALUE_SIZE: u64 = 8;

/// The object with the values of some maps resized, and with calls of the kernel function
/// whose id is `cast` where the programs cast addresses.
///
/// How much is kept of one call is known only at start, and a map's value must
/// have room for it: the programs are compiled for the largest value and verified
/// against the one given here, since the verifier knows the configuration too.
///
/// # Errors
/// [`SourceError::Object`] where a map is not in the object.
pub fn fitted(value_sizes: &[(&str, u32)], cast: Option<u32>) -> Result<Vec<u8>, SourceError> {
    let missing = |what: &str| SourceError::Object(what.to_owned());
    let file = object::File::parse(BYTES).map_err(|_| missing("ELF header"))?;
    let maps = file.section_by_name("maps").ok_or_else(|| missing("maps section"))?;
    let (section, _) = maps.file_range().ok_or_else(|| missing("maps section"))?;
    let mut bytes = BYTES.to_vec();
    for (name, size) in value_sizes {
        let symbol = file
            .symbols()
            .find(|symbol| {
                symbol.section_index() == Some(maps.index()) && symbol.name() == Ok(name)
            })
            .ok_or_else(|| missing(name))?;
        usize::try_from(section + symbol.address() + VALUE_SIZE)
            .ok()
            .and_then(|at| bytes.get_mut(at..at + 4))
            .ok_or_else(|| missing(name))?
            .copy_from_slice(&size.to_le_bytes());
    }
    if let Some(id) = cast {
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let (start, len) = section.file_range().unwrap_or_default();
            let range = usize::try_from(start).ok().zip(usize::try_from(start + len).ok());
            let code = range.and_then(|(start, end)| bytes.get_mut(start..end));
            code.into_iter().flat_map(|code| code.as_chunks_mut::<8>().0).for_each(|instruction| {
                if *instruction == call(0, RDONLY_CAST) {
                    *instruction = call(BPF_PSEUDO_KFUNC_CALL, id);
                }
            });
        }
    }
    Ok(bytes)
}

/// A call instruction (`struct bpf_insn`, include/uapi/linux/bpf.h): opcode, registers (of
/// which the source says what is called), an offset, and the number of what is called.
fn call(source: u8, number: u32) -> [u8; 8] {
    const BPF_JMP_CALL: u8 = 0x85;
    let [a, b, c, d] = number.to_le_bytes();
    [BPF_JMP_CALL, source << 4, 0, 0, a, b, c, d]
}

/// A function of the kernel's, by its id in the kernel's BTF.
const BPF_PSEUDO_KFUNC_CALL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_map_is_named() {
        let error = fitted(&[("NO_SUCH_MAP", 8)], None).unwrap_err();
        assert!(error.to_string().contains("NO_SUCH_MAP"), "{error}");
    }

    #[test]
    fn only_the_value_size_changes() {
        let bytes = fitted(&[("THREADS", 0x0102_0304)], None).unwrap();
        let differing = bytes.iter().zip(BYTES).filter(|(a, b)| a != b).count();
        assert!((1..=4).contains(&differing), "{differing} bytes differ");
        assert_eq!(bytes.len(), BYTES.len());
    }

    #[test]
    fn only_calls_become_calls_of_the_kernels() {
        let bytes = fitted(&[], Some(0x0102_0304)).unwrap();
        let changed = bytes.as_chunks::<8>().0.iter().zip(BYTES.as_chunks::<8>().0);
        let changed: Vec<_> = changed.filter(|(a, b)| a != b).collect();
        assert!(!changed.is_empty());
        assert!(changed.iter().all(|(a, _)| **a == [0x85, 0x20, 0, 0, 4, 3, 2, 1]), "{changed:?}");
    }
}
