//! The committed eBPF object, and the sizes that are set in it before loading.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::error::SourceError;

/// The kernel programs, as `cargo xtask ebpf` built them.
static BYTES: &[u8] = aya::include_bytes_aligned!("../../bpf/tracer.bpf.o");

/// Position of `value_size` in `struct bpf_map_def` (type, key_size, value_size,
/// max_entries, map_flags, …), all 32 bits wide.
const VALUE_SIZE: u64 = 8;

/// The object with the values of some maps resized.
///
/// How much is kept of one call is known only at start, and a map's value must
/// have room for it: the programs are compiled for the largest value and verified
/// against the one given here, since the verifier knows the configuration too.
///
/// # Errors
/// [`SourceError::Object`] where a map is not in the object.
pub fn resized(value_sizes: &[(&str, u32)]) -> Result<Vec<u8>, SourceError> {
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
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_map_is_named() {
        let error = resized(&[("NO_SUCH_MAP", 8)]).unwrap_err();
        assert!(error.to_string().contains("NO_SUCH_MAP"), "{error}");
    }

    #[test]
    fn only_the_value_size_changes() {
        let bytes = resized(&[("THREADS", 0x0102_0304)]).unwrap();
        let differing = bytes.iter().zip(BYTES).filter(|(a, b)| a != b).count();
        assert!((1..=4).contains(&differing), "{differing} bytes differ");
        assert_eq!(bytes.len(), BYTES.len());
    }
}
