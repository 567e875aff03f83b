//! In whose hands files are. What the tracer does to one, it does with all its rights, and
//! where others can write to the folder, they may have put something else in its place.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// Whether the tracer has more rights than others on the machine: it runs as root, or holds
/// capabilities.
pub fn is_privileged() -> bool {
    let held = rustix::thread::capabilities(None);
    me() == 0 || held.map_or(true, |held| !held.permitted.is_empty())
}

/// The user that the tracer runs as.
pub fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The folder that a path names something in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file to write to, or makes it. In a folder that others can write to, a privileged
/// tracer takes no link that another user made, no file that has other names, and none of a
/// user that has neither the folder nor the tracer.
///
/// # Errors
/// Those of opening it, and who could have put it there.
pub fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let Some(folder) = shared(path)? else { return options.open(path) };
    let mut here = options.clone();
    let opened = here.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            link_of_ours(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    owner_of(&found, &folder)?;
    if found.is_file() && found.nlink() > 1 {
        return Err(io::Error::other(
            "it has other names, and others can write to its folder: remove it, or name another",
        ));
    }
    Ok(file)
}

/// Makes a file, or empties it once [`open`] has taken it; what is no ordinary file has
/// nothing to be emptied.
///
/// # Errors
/// Those of [`open`], and of truncating it.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open(path, OpenOptions::new().write(true).create(true))?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Whether a socket is in the hands of those whom [`open`] would take a file of.
///
/// # Errors
/// Those of looking at it, and who could have put it there.
pub fn socket(path: &Path) -> io::Result<()> {
    let Some(folder) = shared(path)? else { return Ok(()) };
    if fs::symlink_metadata(path)?.is_symlink() {
        link_of_ours(path)?;
    }
    owner_of(&fs::metadata(path)?, &folder)
}

/// The folder of what is named, where it matters who else can write to it.
fn shared(path: &Path) -> io::Result<Option<Metadata>> {
    if !is_privileged() {
        return Ok(None);
    }
    let folder = fs::metadata(folder_of(path))?;
    let ours = is_ours(&folder) && folder.mode() & OTHERS_WRITE == 0;
    Ok(Some(folder).filter(|_| !ours))
}

fn is_ours(found: &Metadata) -> bool {
    found.uid() == 0 || found.uid() == me()
}

fn link_of_ours(path: &Path) -> io::Result<()> {
    let link = fs::symlink_metadata(path)?;
    if is_ours(&link) {
        return Ok(());
    }
    let says = format!("a symbolic link of user {}: name what it leads to", link.uid());
    Err(io::Error::other(says))
}

fn owner_of(found: &Metadata, folder: &Metadata) -> io::Result<()> {
    if is_ours(found) || found.uid() == folder.uid() {
        return Ok(());
    }
    let (uid, mode) = (found.uid(), folder.mode() & 0o7777);
    Err(io::Error::other(format!(
        "it belongs to user {uid}, who could put it there since others can write to its folder \
         (mode {mode:04o})"
    )))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, chown, lchown, symlink},
        path::PathBuf,
    };

    use super::*;

    const MALLORY: u32 = 12345;

    /// A folder of that user and mode, with a victim of root's elsewhere.
    fn folder(user: u32, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (own, victim) = (folder.path().join("own"), folder.path().join("victim"));
        fs::create_dir(&own).unwrap();
        fs::write(victim, "precious").unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(mode)).unwrap();
        chown(&own, Some(user), None).unwrap();
        (folder, own)
    }

    fn opened(path: &Path) -> Result<File, String> {
        let mut options = OpenOptions::new();
        open(path, options.append(true).create(true)).map_err(|error| error.to_string())
    }

    fn refused(path: &Path, why: &str) {
        let error = opened(path).expect_err("it is refused");
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_another_user_put_there_is_refused() {
        if me() != 0 {
            return;
        }
        for (user, mode) in [(0, 0o777), (0, 0o775), (MALLORY, 0o755), (MALLORY, 0o700)] {
            let (outer, own) = folder(user, mode);
            let victim = outer.path().join("victim");
            let (link, hard, file) = (own.join("link"), own.join("hard"), own.join("file"));
            symlink(&victim, &link).unwrap();
            lchown(&link, Some(MALLORY), None).unwrap();
            refused(&link, "symbolic link of user 12345");
            fs::hard_link(&victim, &hard).unwrap();
            refused(&hard, "other names");
            fs::write(&file, "").unwrap();
            chown(&file, Some(MALLORY + 1), None).unwrap();
            refused(&file, "belongs to user 12346");
            assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
        }
    }

    #[test]
    fn what_is_ours_is_taken() {
        if me() != 0 {
            return;
        }
        let (outer, own) = folder(MALLORY, 0o777);
        let link = own.join("link");
        symlink(outer.path().join("victim"), &link).unwrap();
        assert!(opened(&link).is_ok(), "a link of root's");
        assert!(opened(&own.join("new")).is_ok());
        let theirs = own.join("theirs");
        fs::write(&theirs, "").unwrap();
        chown(&theirs, Some(MALLORY), None).unwrap();
        assert!(opened(&theirs).is_ok(), "the folder is theirs, too");
        assert!(opened(Path::new("/dev/null")).is_ok());
        // Where nobody else can write, links of others can't have come by themselves.
        let (outer, own) = folder(0, 0o755);
        let link = own.join("link");
        symlink(outer.path().join("victim"), &link).unwrap();
        lchown(&link, Some(MALLORY), None).unwrap();
        assert!(opened(&link).is_ok());
    }

    #[test]
    fn sockets_of_others_are_refused() {
        if me() != 0 {
            return;
        }
        let (_outer, own) = folder(0, 0o1777);
        let path = own.join("socket");
        assert_eq!(socket(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(socket(&path).is_ok());
        chown(&path, Some(MALLORY), None).unwrap();
        assert!(socket(&path).unwrap_err().to_string().contains("belongs to user 12345"));
        let link = own.join("link");
        symlink(&path, &link).unwrap();
        lchown(&link, Some(MALLORY), None).unwrap();
        assert!(socket(&link).unwrap_err().to_string().contains("symbolic link of user 12345"));
    }
}
