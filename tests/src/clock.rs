//! A wall clock that is stepped by some seconds, back and forth, without end.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tools;

/// A library for LD_PRELOAD, which does that for one process alone.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    static atomic_long calls;
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (result == 0 && id == CLOCK_REALTIME)
        now->tv_sec += 7 * (atomic_fetch_add(&calls, 1) / 20 % 3 - 1);
    return result;
}
"#;

/// Makes it in a folder.
///
/// # Errors
/// Why there is none: no compiler, most likely.
pub fn stepped(folder: &Path) -> Result<PathBuf, String> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, CLOCK).map_err(|error| error.to_string())?;
    tools::compile(&source, &library, &["-shared", "-fPIC"]).map(|()| library)
}
