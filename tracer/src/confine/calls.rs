//! System calls by seccomp: a list of those that are allowed. All others fail with EPERM;
//! those of another architecture's numbers end the program.

mod list;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::Settings;

/// Rules for each call; none for one that is allowed whatever its arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Restricts this thread, and those that it starts.
pub fn restrict(settings: &Settings) -> Result<String, String> {
    let allowed = allowed(settings)?;
    let count = allowed.len();
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let allowed = compiled(allowed, errno(libc::EPERM), SeccompAction::Allow)?;
    // Its flags lie in memory. libc starts threads by clone(2) where there is no such call.
    let newer = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let newer = compiled(newer, SeccompAction::Allow, errno(libc::ENOSYS))?;
    // Of two that do not let a call pass, the refusal counts.
    for filter in [newer, allowed] {
        apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(format!("{count} calls"))
}

fn compiled(
    rules: Rules,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, otherwise, action, arch);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

/// What a condition asks of an argument.
struct Arg {
    index: u8,
    /// The bits that matter; None for all 64.
    mask: Option<u64>,
    value: u64,
}

impl Arg {
    /// It is that number, of 32 bits.
    fn is(index: u8, value: u32) -> Self {
        Self { index, mask: None, value: value.into() }
    }

    /// Of these bits, those are set.
    fn bits(index: u8, mask: u64, value: u64) -> Self {
        Self { index, mask: Some(mask), value }
    }

    fn condition(&self) -> Result<SeccompCondition, String> {
        let (length, operator) = match self.mask {
            Some(mask) => (SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask)),
            None => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq),
        };
        SeccompCondition::new(self.index, length, operator, self.value)
            .map_err(|error| error.to_string())
    }
}

fn allow(rules: &mut Rules, call: i64, args: &[Arg]) -> Result<(), String> {
    let conditions: Vec<_> = args.iter().map(Arg::condition).collect::<Result<_, _>>()?;
    let rule = SeccompRule::new(conditions).map_err(|error| error.to_string())?;
    rules.entry(call).or_default().push(rule);
    Ok(())
}

/// A constant of libc's headers, as the kernel compares it: 32 bits.
fn word(value: i32) -> u32 {
    value.cast_unsigned()
}

fn allowed(settings: &Settings) -> Result<Rules, String> {
    let reach = &settings.reach;
    let mut rules: Rules = list::ALWAYS.iter().map(|call| (*call, Vec::new())).collect();
    let mut add = |call, args: &[Arg]| allow(&mut rules, call, args);
    for command in list::MAP_COMMANDS {
        add(libc::SYS_bpf, &[Arg::is(0, *command)])?;
    }
    for request in list::IOCTLS {
        add(libc::SYS_ioctl, &[Arg::is(1, *request)])?;
    }
    for option in list::PRCTLS {
        add(libc::SYS_prctl, &[Arg::is(0, *option)])?;
    }
    // To find a cgroup, which is not opened for that.
    let no_content = libc::O_PATH as u64;
    add(libc::SYS_open_by_handle_at, &[Arg::bits(2, no_content, no_content)])?;
    let thread = libc::CLONE_THREAD as u64;
    add(libc::SYS_clone, &[Arg::bits(0, thread, thread)])?;
    // To itself, as abort(3) does.
    add(libc::SYS_tgkill, &[Arg::is(0, std::process::id())])?;
    // Limits are looked at, and not set.
    add(libc::SYS_prlimit64, &[Arg::bits(2, u64::MAX, 0)])?;
    let executable = libc::PROT_EXEC as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        if reach.names {
            // What resolves names is loaded when it is asked.
            rules.insert(call, Vec::new());
        } else {
            allow(&mut rules, call, &[Arg::bits(2, executable, 0)])?;
        }
    }
    let mut families = vec![];
    if !reach.sockets.is_empty() || reach.names {
        families.push(libc::AF_UNIX);
    }
    if reach.has_tcp() {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    if reach.names {
        families.push(libc::AF_NETLINK);
    }
    for family in &families {
        allow(&mut rules, libc::SYS_socket, &[Arg::is(0, word(*family))])?;
    }
    allow(&mut rules, libc::SYS_socketpair, &[Arg::is(0, word(libc::AF_UNIX))])?;
    if !families.is_empty() {
        rules.insert(libc::SYS_connect, Vec::new());
    }
    if reach.names {
        // A netlink socket takes its address; Landlock sees to TCP.
        rules.insert(libc::SYS_bind, Vec::new());
    }
    if settings.command {
        let waiting = [libc::SYS_wait4, libc::SYS_waitid];
        rules.extend(waiting.map(|call| (call, Vec::new())));
        let term = word(libc::SIGTERM);
        allow(&mut rules, libc::SYS_kill, &[Arg::is(1, term)])?;
    }
    Ok(rules)
}

/// Whether the kernel has seccomp with filters.
pub fn filters_offered() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.split_whitespace().any(|action| action == "errno"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Reach;

    /// The filters for all settings fit into what the kernel takes (BPF_MAXINSNS).
    #[test]
    fn every_filter_can_be_made() {
        for reach in [Reach::default(), Reach::tcp("::1", 5), Reach::tcp("name", 5)] {
            for command in [false, true] {
                let settings = Settings { reach: reach.clone(), command, looks_up_exe: false };
                let rules = allowed(&settings).unwrap();
                let filter = compiled(rules, SeccompAction::KillProcess, SeccompAction::Allow);
                assert!(filter.unwrap().len() < 4096);
            }
        }
    }

    #[test]
    fn what_is_never_allowed() {
        let settings = Settings { reach: Reach::tcp("name", 5), command: true, looks_up_exe: true };
        let rules = allowed(&settings).unwrap();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_setuid,
            libc::SYS_capset,
            libc::SYS_reboot,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_mknodat,
            libc::SYS_symlinkat,
            libc::SYS_listen,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        assert!(!rules[&libc::SYS_bpf].is_empty() && !rules[&libc::SYS_clone].is_empty());
    }
}
