//! Reads configuration files: one, and those of `conf.d` beside it in the order of their
//! names.
//!
//! What they say is done with every right that the tracer has. A privileged tracer takes
//! only what nobody else can have changed: symbolic links are followed, as many mounts are
//! made of them, if the link, the file and their folders are in the right hands. Nothing but
//! ordinary files of bounded size are read, and never waited for.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};

use super::ConfigError;
use crate::trust::{folder_of, is_privileged, me};

/// Most bytes of a file.
const LARGEST: u64 = 256 << 10;
/// Most files in `conf.d`.
const MOST: usize = 64;
/// Others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;
/// In a folder that all may write to, each may rename or remove only what is theirs.
const STICKY: u32 = 0o1000;

/// A file's text.
pub struct Text {
    /// Its name.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Reads the file, and those beside it; later ones override.
pub fn read(path: &Path) -> Result<Vec<Text>, ConfigError> {
    let privileged = is_privileged();
    let mut texts = vec![text(path, privileged)?];
    for path in beside(path)? {
        texts.push(text(&path, privileged)?);
    }
    Ok(texts)
}

/// Where files are that [`read`] reads now, to be read again later: their folders, since they
/// may be made anew. Of a file in `/`, the file.
pub fn places(path: &Path) -> Vec<PathBuf> {
    let beside = beside(path).unwrap_or_default();
    let mut places = vec![folder_beside(path)];
    for path in [path].into_iter().chain(beside.iter().map(PathBuf::as_path)) {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for file in [path, &target] {
            let folder = folder_of(file);
            places.push(if folder == Path::new("/") { file } else { folder }.to_owned());
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// The folder of further files, whether or not there is one.
fn folder_beside(path: &Path) -> PathBuf {
    folder_of(path).join("conf.d")
}

fn beside(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = folder_beside(path);
    let fail = |error: io::Error| ConfigError::new(folder.display(), error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        // Not what an editor or a package manager leaves: .x.toml.swp, x.toml~, .x.toml.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension() != Some("toml".as_ref()) {
            continue;
        }
        if paths.len() == MOST {
            let message = format!("more than {MOST} files; join some of them");
            return Err(ConfigError::new(folder.display(), message));
        }
        paths.push(path);
    }
    paths.sort_unstable();
    Ok(paths)
}

fn text(path: &Path, privileged: bool) -> Result<Text, ConfigError> {
    let fail = |message: String| ConfigError::new(path.display(), message);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| fail(format!("cannot be read: {error}")))?;
    let metadata = file.metadata().map_err(|error| fail(error.to_string()))?;
    if !metadata.is_file() {
        return Err(fail("not an ordinary file".to_owned()));
    }
    if privileged {
        trusted(path, &metadata, me()).map_err(fail)?;
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = (&file).take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(fail(format!("more than {} KiB", LARGEST >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_| fail("not in UTF-8".to_owned()))?;
    Ok(Text { path: path.to_owned(), text })
}

/// Whether nobody but root and that user can change an open file of that name, or what the
/// name leads to.
fn trusted(path: &Path, file: &Metadata, me: u32) -> Result<(), String> {
    let owned = |metadata: &Metadata| metadata.uid() == 0 || metadata.uid() == me;
    if !owned(file) {
        return Err(format!("belongs to user {}, not to root", file.uid()));
    }
    if file.mode() & OTHERS_WRITE != 0 {
        let mode = file.mode() & 0o7777;
        return Err(format!(
            "others than its owner may write it (mode {mode:04o}); chmod go-w {}",
            path.display()
        ));
    }
    let link = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !owned(&link) {
        return Err(format!("a link that belongs to user {}, not to root", link.uid()));
    }
    let target = path.canonicalize().map_err(|error| error.to_string())?;
    for folder in [folder_of(path), folder_of(&target)] {
        let fail = |error: io::Error| format!("its folder {}: {error}", folder.display());
        let open = File::open(folder).map_err(fail)?;
        let metadata = open.metadata().map_err(fail)?;
        // As Kubernetes mounts its ConfigMaps: open to all, and read-only.
        let fixed = fstatvfs(&open).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        let open_to_all = metadata.mode() & OTHERS_WRITE != 0 && metadata.mode() & STICKY == 0;
        if !fixed && (open_to_all || !owned(&metadata)) {
            return Err(format!(
                "others than root may change its folder {} (user {}, mode {:04o})",
                folder.display(),
                metadata.uid(),
                metadata.mode() & 0o7777
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder of ours with a file of those bytes, and its name.
    fn with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracer.toml");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        (folder, path)
    }

    fn refused(path: &Path) -> String {
        read(path).err().expect("it is refused").to_string()
    }

    #[test]
    fn files_beside_come_in_the_order_of_their_names() {
        let (folder, path) = with(b"");
        let beside = folder.path().join("conf.d");
        fs::create_dir(&beside).unwrap();
        for name in ["20-b.toml", "10-a.toml", "x.conf", ".hidden.toml", "30.toml~"] {
            fs::write(beside.join(name), name).unwrap();
        }
        let texts = read(&path).unwrap();
        let texts: Vec<_> = texts.iter().map(|text| text.text.as_str()).collect();
        assert_eq!(texts, ["", "10-a.toml", "20-b.toml"]);
        for number in 0..MOST {
            fs::write(beside.join(format!("{number}.toml")), "").unwrap();
        }
        assert!(refused(&path).contains("more than 64 files"));
    }

    #[test]
    fn only_ordinary_files_of_bounded_size_are_read() {
        let (folder, path) = with(&vec![b'#'; 256 << 10]);
        assert!(read(&path).is_ok());
        fs::write(&path, vec![b'#'; (256 << 10) + 1]).unwrap();
        assert!(refused(&path).contains("more than 256 KiB"));
        // One without end, and one that nobody writes to.
        let link = folder.path().join("zero.toml");
        symlink("/dev/zero", &link).unwrap();
        assert!(refused(&link).contains("not an ordinary file"));
        let fifo = folder.path().join("fifo.toml");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(refused(&fifo).contains("not an ordinary file"));
        assert!(refused(folder.path()).contains("not an ordinary file"));
        assert!(refused(&folder.path().join("none")).contains("No such file"));
        fs::write(&path, b"a = \"\xff\"").unwrap();
        assert!(refused(&path).contains("UTF-8"));
    }

    #[test]
    fn what_others_can_change_is_refused() {
        let (folder, path) = with(b"");
        let check = |path: &Path| trusted(path, &fs::metadata(path).unwrap(), me());
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert_eq!(check(&path), Ok(()));
        for writable in [0o664, 0o646] {
            mode(&path, writable);
            assert!(check(&path).unwrap_err().contains("chmod go-w"));
        }
        mode(&path, 0o600);
        mode(folder.path(), 0o777);
        assert!(check(&path).unwrap_err().contains("change its folder"));
        mode(folder.path(), 0o1777);
        assert_eq!(check(&path), Ok(()));
        // Where a link leads to counts as well.
        let (other, link) = with(b"");
        fs::remove_file(&link).unwrap();
        symlink(&path, &link).unwrap();
        assert_eq!(check(&link), Ok(()));
        mode(folder.path(), 0o777);
        assert!(check(&link).unwrap_err().contains("change its folder"));
        drop(other);
    }

    #[test]
    fn what_belongs_to_others_is_refused() {
        let (_folder, path) = with(b"");
        if me() != 0 {
            return assert!(trusted(&path, &fs::metadata("/").unwrap(), me()).is_ok());
        }
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let file = fs::metadata(&path).unwrap();
        assert!(trusted(&path, &file, me()).unwrap_err().contains("belongs to user 12345"));
        assert!(refused(&path).contains("belongs to user 12345"));
    }
}
