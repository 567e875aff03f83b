//! The systemd unit: its score, that it allows every call that the tracer makes, and that the
//! tracer works as it is run there. systemd need not run for that: its user, capabilities,
//! view of the file system, and network are made with unshare(1) and setpriv(1); its filter
//! of calls is held against what strace(1) saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tests::child::Running;
use tests::far::{named, verify, wait_until};
use tests::manager::Manager;
use tests::skip::{require_root_bpf, skip};
use tests::status::Status;
use tests::stream::count;
use tests::tools;
use tests::tracer::{self, Waiting};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer/service/tracer.service");
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer/service/tracer.toml");
/// The most that it may score; lower is better.
const MOST: &str = "26";
/// A user that nothing belongs to.
const USER: u32 = 65_531;
const DAC_READ_SEARCH: u64 = 1 << 2;

/// What systemd makes of the unit's directives, and a service user's view of the machine:
/// read-only, with folders of others hidden.
const VIEW: &str = r#"
set -e
log=$1 binary=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
cp "$binary" /mnt/tracer
touch /mnt/inaccessible && chmod 000 /mnt/inaccessible
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /var/log/private/tracer
ln -s private/tracer /var/log/tracer
mount --bind "$log" /var/log/private/tracer
for hidden in /root /home /tmp /boot; do
    [ ! -d $hidden ] || mount -t tmpfs -o mode=755 tmpfs $hidden
done
mount --bind /proc/sys /proc/sys
mount --bind /mnt/inaccessible /proc/kallsyms
awk '{ print $5 }' /proc/self/mountinfo | while read -r point; do
    case $point in
    /var/log/private/tracer | /proc | /dev | /dev/*) ;;
    *) [ ! -e "$point" ] || mount -o remount,bind,ro "$point" ;;
    esac
done
cd /
exec "$@"
"#;

fn unit() -> String {
    fs::read_to_string(UNIT).expect("the unit")
}

/// The values of a directive, in their order.
fn values<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.strip_prefix(directive)?.strip_prefix('=');
    unit.lines().filter_map(value).collect()
}

/// Words of the last of them.
fn words<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    values(unit, directive).last().expect(directive).split_ascii_whitespace().collect()
}

/// systemd-analyze(1); None, with a skip, where it is not installed.
fn analyze(args: &[&str]) -> Option<Output> {
    let Some(program) = tools::find("systemd-analyze") else {
        skip("service", "no systemd-analyze (Debian's systemd)");
        return None;
    };
    Some(Command::new(program).args(args).output().expect("it runs"))
}

fn score(unit: &Path) -> Option<Output> {
    let unit = unit.to_str().expect("a path in UTF-8");
    analyze(&["security", "--offline=true", &format!("--threshold={MOST}"), unit])
}

#[test]
fn the_unit_scores_well() {
    let Some(output) = score(Path::new(UNIT)) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    let overall = said.lines().find(|line| line.contains("Overall exposure level"));
    println!("{}", overall.expect("a score"));
    assert!(output.status.success(), "{said}");
    // One without its directives does not.
    let folder = TempDir::new().expect("a temporary folder");
    let bare = folder.path().join("bare.service");
    fs::write(&bare, "[Service]\nExecStart=/usr/bin/tracer\n").expect("room");
    assert!(!score(&bare).expect("it was there").status.success());
}

/// Every directive is known, and every value is one.
#[test]
fn the_unit_is_understood() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("tracer.service");
    let binary = tracer::binary().to_str().expect("a path in UTF-8");
    fs::write(&path, unit().replace("/usr/bin/tracer", binary)).expect("room");
    let Some(output) = analyze(&["verify", path.to_str().expect("UTF-8")]) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("tracer.service")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

/// setpriv(1) as the unit has it, without these capabilities.
fn as_the_unit_says(without: &[&str]) -> Vec<String> {
    let unit = unit();
    let ambient = words(&unit, "AmbientCapabilities");
    assert_eq!(ambient, words(&unit, "CapabilityBoundingSet"));
    assert_eq!(words(&unit, "NoNewPrivileges"), ["yes"]);
    let kept = ambient.iter().filter(|name| !without.contains(*name));
    let kept = kept.map(|name| name.trim_start_matches("CAP_").to_lowercase());
    let set = kept.fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
    let user = USER.to_string();
    let sets = ["--inh-caps=", "--ambient-caps=", "--bounding-set="];
    let mut args: Vec<_> = sets.iter().map(|option| format!("{option}{set}")).collect();
    args.extend(
        ["--no-new-privs", "--clear-groups", "--reuid", &user, "--regid", &user].map(str::to_owned),
    );
    args
}

/// What the unit starts, with a copy of its configuration in that folder, by which files are
/// set aside sooner.
fn exec_start(log: &Path) -> [String; 2] {
    let unit = unit();
    let words = words(&unit, "ExecStart");
    assert_eq!(words, ["/usr/bin/tracer", "--config", "/etc/tracer/tracer.toml"]);
    let text = fs::read_to_string(CONFIG).expect("the configuration");
    assert!(text.contains("size=100M"));
    let copy = log.join("tracer.toml");
    fs::write(&copy, text.replace("size=100M", "size=512K")).expect("our own folder");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).expect("our own file");
    [words[1].to_owned(), "/var/log/tracer/tracer.toml".to_owned()]
}

/// A folder that is the service's own.
fn own_folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("our own");
    chown(folder.path(), Some(USER), Some(USER)).expect("root may");
    folder
}

/// Starts it as systemd would.
fn started(log: &Path, without: &[&str], options: &[&str]) -> Running {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", VIEW, "view"]);
    command.args([log, tracer::binary()]);
    command.arg("setpriv").args(as_the_unit_says(without)).arg("/mnt/tracer");
    command.args(exec_start(log)).args(options);
    command.env("NOTIFY_SOCKET", "/var/log/tracer/notify");
    Running::start(command)
}

fn lines_of(folder: &Path) -> Vec<PathBuf> {
    named(folder, "events.json")
}

/// As that user, with those capabilities and in that view it is ready once it is attached,
/// traces, sets files aside, opens them anew, and ends.
#[test]
fn the_tracer_works_under_the_unit() {
    if !require_root_bpf("service") {
        return;
    }
    let log = own_folder();
    let mut manager = Manager::at(&log.path().join("notify"));
    let mut tracer = started(log.path(), &[], &["--confine", "on"]);
    tracer.stderr.wait_for("attached", |line| line.starts_with("tracer: attached"));
    manager.wait_for("READY=1");
    let status = Status::of(tracer.id());
    assert_eq!((status.field("Uid"), status.field("NoNewPrivs")), (&*USER.to_string(), "1"));
    let held = status.set("CapPrm");
    assert_eq!((held & !DAC_READ_SEARCH, status.field("Seccomp")), (0, "2"), "{status:?}");

    Waiting::start(WORKLOAD, &["flood", "--count", "3000"]).go();
    let compressed = || {
        let files = lines_of(log.path());
        files.iter().any(|file| file.extension().is_some_and(|suffix| suffix == "zst"))
    };
    wait_until("a file is compressed", compressed);
    let current = log.path().join("events.json");
    fs::rename(&current, log.path().join("events.json.moved")).expect("our own");
    tracer.signal(libc::SIGHUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    tracer.stderr.wait_for("its outcome", |line| line == "tracer: reloaded: nothing has changed\n");
    wait_until("the file is made anew", || current.exists());
    let config = log.path().join("tracer.toml");
    let text = fs::read_to_string(&config).expect("our own file");
    let more =
        |destination: &str| text.replace("write = [", &format!("write = [\"{destination}\", "));
    let mut reload = |text: String| {
        fs::write(&config, text).expect("our own file");
        tracer.signal(libc::SIGHUP);
        manager.wait_for("RELOADING=1");
        manager.wait_for("READY=1");
        tracer.stderr.wait_for("its outcome", |line| line.starts_with("tracer: reload"))
    };
    let said = reload(more("tcp:127.0.0.1:9"));
    assert!(said.contains("refused") && said.contains("out of reach"), "{said}");
    let said = reload(more("file:/var/log/tracer/more.json"));
    assert!(said.contains("reloaded: writes to /var/log/tracer/more.json"), "{said}");
    tracer.signal(libc::SIGTERM);
    manager.wait_for("STOPPING=1");
    let finished = tracer.finish();
    finished.expect_code(0);
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
    let (report, _) = verify(&lines_of(log.path()));
    assert_eq!(report["complete"], true, "{report}");
    assert!(count(&report["runs"][0], "events") >= 3000, "{report}");
}

/// None of its capabilities is there for nothing.
#[test]
fn every_capability_is_needed() {
    if !require_root_bpf("service") {
        return;
    }
    for capability in ["CAP_BPF", "CAP_PERFMON"] {
        let log = own_folder();
        let finished = started(log.path(), &[capability], &["-d", "300ms"]).finish();
        finished.expect_code(3);
        assert!(finished.stderr.contains(capability), "{}", finished.stderr);
    }
    let says = "confined by capabilities: CAP_DAC_READ_SEARCH";
    for (without, kept) in [(&[][..], true), (&["CAP_DAC_READ_SEARCH"], false)] {
        let log = own_folder();
        let finished = started(log.path(), without, &["-d", "300ms", "-v"]).finish();
        finished.expect_code(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        let kept = kept && mounts.contains(" - cgroup2 ");
        assert_eq!(finished.stderr.contains(says), kept, "{}", finished.stderr);
    }
}

/// The calls that the unit lets pass, as systemd reads its lines: the first one says that it
/// is a list of what is allowed, later ones add to it, or with a ~ take away.
fn allowed(unit: &str) -> Option<BTreeSet<String>> {
    let output = analyze(&["syscall-filter"])?;
    let text = String::from_utf8(output.stdout).expect("text");
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut group = "";
    for line in text.lines() {
        match line.trim() {
            "" => {}
            word if line.starts_with('@') => group = word,
            word if word.starts_with('#') => {}
            word => groups.entry(group).or_default().push(word),
        }
    }
    fn expand<'a>(word: &'a str, groups: &BTreeMap<&str, Vec<&'a str>>, to: &mut Vec<&'a str>) {
        match groups.get(word) {
            Some(words) => words.iter().for_each(|word| expand(word, groups, to)),
            None => to.push(word),
        }
    }
    let mut allowed = BTreeSet::new();
    for line in values(unit, "SystemCallFilter") {
        let (away, line) = line.strip_prefix('~').map_or((false, line), |line| (true, line));
        let mut calls = Vec::new();
        line.split_ascii_whitespace().for_each(|word| expand(word, &groups, &mut calls));
        for call in calls {
            if away {
                allowed.remove(call);
            } else {
                allowed.insert(call.to_owned());
            }
        }
    }
    // Always there.
    let mut always = Vec::new();
    expand("@default", &groups, &mut always);
    allowed.extend(always.into_iter().map(str::to_owned));
    Some(allowed)
}

/// Of the calls that a tracer makes from its first instruction on, none is missing in the
/// unit's filter, and its own filter refuses none.
#[test]
fn no_call_is_refused() {
    if !require_root_bpf("service") {
        return;
    }
    let Some(strace) = tools::find("strace") else {
        return skip("service", "no strace");
    };
    let Some(allowed) = allowed(&unit()) else { return };
    let (log, out) = (own_folder(), TempDir::new().expect("a temporary folder"));
    let out = out.path().join("calls");
    // For that user to execute it.
    let binary = log.path().join("tracer");
    fs::copy(tracer::binary(), &binary).expect("room");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("our own");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-o"]).arg(&out).arg("setpriv").args(as_the_unit_says(&[]));
    let path = log.path().display().to_string();
    let here = |text: &str| text.replace("/var/log/tracer", &path);
    command.arg(&binary).args(exec_start(log.path()).iter().map(|word| here(word)));
    let config = log.path().join("tracer.toml");
    let text = fs::read_to_string(&config).expect("our own file");
    fs::write(&config, here(&text)).expect("our own file");
    command.args(["--confine", "on", "--duration", "6s"]);
    let mut traced = Running::start(command);
    traced.stderr.wait_for("attached", |line| line.starts_with("tracer: attached"));
    Waiting::start(WORKLOAD, &["flood", "--count", "2000"]).go();
    traced.finish().expect_code(0);
    let text = fs::read_to_string(&out).expect("what strace saw");
    let marker = format!("execve(\"{}\"", binary.display());
    let (_, since) = text.split_once(&marker).expect("the tracer's start");
    let (mut made, mut refused) = (BTreeSet::new(), Vec::new());
    for line in since.lines().skip(1) {
        let Some((_, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            made.insert(name.to_owned());
        }
        if line.contains(" = -1 EPERM") {
            refused.push(line);
        }
    }
    assert!(made.len() > 40 && made.contains("bpf") && made.contains("seccomp"), "{made:?}");
    let missing: Vec<_> = made.difference(&allowed).collect();
    assert!(missing.is_empty(), "the unit's filter lacks {missing:?}");
    // Some are tried before, to see whether the kernel lets them be.
    let confined = since.rfind("seccomp(SECCOMP_SET_MODE_FILTER").expect("its filter");
    let after = &since[confined..];
    let refused: Vec<_> = refused.into_iter().filter(|line| after.contains(*line)).collect();
    assert!(refused.is_empty(), "its own filter refused {refused:#?}");
}
