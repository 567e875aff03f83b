//! CPUs that tests count on, and that one test takes away: not at the same time.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static ONLINE: RwLock<()> = RwLock::new(());

/// No CPU goes away while this is held.
pub fn stay() -> RwLockReadGuard<'static, ()> {
    ONLINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody counts on a CPU while this is held.
pub fn change() -> RwLockWriteGuard<'static, ()> {
    ONLINE.write().unwrap_or_else(PoisonError::into_inner)
}
