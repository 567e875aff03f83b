//! The packages of `cargo xtask dist`: installed in a clean Debian, run there as the unit
//! says, removed, and gone; what they say of themselves held against the tools and schemas
//! of those who publish these.

mod machine;
mod root;
mod systemd;
mod unit;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use root::{Root, said};
use serde_json::Value;
use tests::child::Running;
use tests::far::wait_until;
use tests::manager::Manager;
use tests::skip::{require_root_bpf, skip};
use tests::status::Status;
use tests::stream::count;
use tests::tools;
use unit::{USER, Unit};

const GROUP: &str = "packages";
const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");
const CALLS: u64 = 3000;
const MANUALS: [&str; 4] = ["tracer", "tracer-doctor", "tracer-replay", "tracer-verify"];

/// What `cargo xtask dist` made: `TRACER_DIST`, or target/dist; None, with a skip, where
/// there is nothing.
fn made() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist");
    let named = std::env::var_os("TRACER_DIST").map(PathBuf::from);
    let folder = named.unwrap_or(usual);
    if folder.join("SHA256SUMS").is_file() {
        return Some(folder.canonicalize().expect("a folder"));
    }
    skip(GROUP, "no packages here: `cargo xtask dist`");
    None
}

/// The one file with this extension.
fn package(folder: &Path, extension: &str) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|it| it.expect("an entry").path());
    let mut files = files.filter(|path| path.extension().is_some_and(|it| it == extension));
    let file = files.next().unwrap_or_else(|| panic!("no .{extension} in {folder:?}"));
    assert_eq!(files.next(), None, "one package");
    file
}

/// A program's output; None, with a skip, where it is not installed.
fn output(program: &str, args: &[&str], path: &Path) -> Option<Output> {
    let Some(found) = tools::find(program) else {
        skip(GROUP, &format!("no {program} here"));
        return None;
    };
    Some(Command::new(found).args(args).arg(path).output().expect("it runs"))
}

/// What it prints; panics where it fails.
fn lines(program: &str, args: &[&str], path: &Path) -> Option<String> {
    let output = output(program, args, path)?;
    assert!(output.status.success(), "{program}: {}", said(&output));
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// A Debian that has what the package depends on, and the package in it, to be installed.
fn debian() -> Option<Root> {
    if !require_root_bpf(GROUP) {
        return None;
    }
    let deb = package(&made()?, "deb");
    let depends = lines("dpkg-deb", &["--showformat=${Depends}", "--show"], &deb)?;
    // `libc6 (>= 2.34), libssl3 | libssl3t64`: of alternatives the first.
    let names = depends.split(", ").filter_map(|it| it.split_whitespace().next());
    let names: Vec<_> = names.map(str::to_owned).collect();
    let root = Root::make(GROUP, &names)?;
    fs::copy(&deb, root.path("opt/tracer.deb")).expect("room");
    Some(root)
}

#[test]
fn the_debian_package_comes_works_and_goes() {
    let Some(root) = debian() else { return };
    let before = root.listing();
    root.run(&["dpkg", "--install", "/opt/tracer.deb"]);
    it_is_all_there(&root);
    it_runs_as_the_unit_says(&root);
    it_goes(&root, &before);
}

fn it_is_all_there(root: &Root) {
    let version = root.run(&["tracer", "--version"]);
    assert!(version.starts_with("tracer "), "{version}");
    // dpkg's own check of every file's sum.
    assert_eq!(root.run(&["dpkg", "--verify", "tracer"]), "");
    for name in MANUALS {
        let page = root.run(&["zcat", &format!("/usr/share/man/man1/{name}.1.gz")]);
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".TH "), "{name}: {page}");
    }
    root.run(&["bash", "-n", "/usr/share/bash-completion/completions/tracer"]);
    let zsh = root.path("/usr/share/zsh/vendor-completions/_tracer");
    assert!(fs::read_to_string(zsh).expect("for zsh").starts_with("#compdef tracer"));
    let fish = root.path("/usr/share/fish/vendor_completions.d/tracer.fish");
    assert!(fs::read_to_string(fish).expect("for fish").contains("complete -c tracer"));
    // Installed and not begun.
    let wants = root.path("/etc/systemd/system/multi-user.target.wants/tracer.service");
    assert!(wants.symlink_metadata().is_err());
    // systemd finds the unit, and whoever wants it has it at the next start.
    root.run(&["systemctl", "enable", "tracer.service"]);
    assert!(wants.symlink_metadata().expect("a link").is_symlink());
    // Without a mounted /proc or BTF it says what it lacks, and that is an answer.
    let doctor = root.command(&["tracer", "doctor"]).output().expect("chroot(1)");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("kernel"), "{}", said(&doctor));
}

/// Ready once it is attached, with the rights that are left; traces, sets files aside,
/// reloads and ends.
fn it_runs_as_the_unit_says(root: &Root) {
    let logs = root.path("var/log/private/tracer");
    let unit = Unit::read(root);
    unit.folders(root);
    // Files are set aside sooner, in the settings that the package brought.
    let settings = root.path("/etc/tracer/tracer.toml");
    let text = fs::read_to_string(&settings).expect("installed settings");
    assert!(text.contains("size=100M"), "{text}");
    fs::write(&settings, text.replace("size=100M", "size=512K")).expect("our own root");
    let socket = logs.join("notify");
    let mut manager = Manager::at(&socket);
    let mut tracer = unit.start(root);
    manager.wait_for("READY=1");
    tracer.stderr.wait_for("attached", |line| line.starts_with("tracer: attached"));
    let status = Status::of(tracer.id());
    assert_eq!((status.field("Uid"), status.field("NoNewPrivs")), (&*USER.to_string(), "1"));
    assert_eq!(status.field("Seccomp"), "2", "{status:?}");

    root.lend(WORKLOAD, "opt/workload");
    let calls = CALLS.to_string();
    let workload = ["/opt/workload", "flood", "--count", &calls, "--truth", "/opt/truth"];
    Running::start(root.command(&workload)).finish().expect_code(0);
    let files = || {
        let files = fs::read_dir(&logs).expect("its folder").map(|it| it.expect("an entry"));
        let names = files.map(|it| it.file_name().into_string().expect("UTF-8"));
        names.filter(|name| name.starts_with("events.json")).collect::<Vec<_>>()
    };
    wait_until("a file is set aside", || files().iter().any(|name| name.ends_with(".zst")));
    let current = logs.join("events.json");
    // It may be setting it aside by itself just now.
    let moved = logs.join("events.json.moved");
    wait_until("the file is moved", || fs::rename(&current, &moved).is_ok());
    tracer.signal(libc::SIGHUP);
    manager.wait_for("RELOADING=1");
    wait_until("the file is made anew", || current.exists());
    tracer.signal(libc::SIGTERM);
    manager.wait_for("STOPPING=1");
    let finished = tracer.finish();
    finished.expect_code(0);
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);

    let paths: Vec<_> = files().iter().map(|name| format!("/var/log/tracer/{name}")).collect();
    let verify = ["tracer", "verify", "-o", "json"].map(str::to_owned);
    let report: Value =
        serde_json::from_str(&root.run(&[&verify[..], &paths].concat())).expect("JSON");
    assert_eq!(report["complete"], true, "{report}");
    assert!(count(&report["runs"][0], "events") >= CALLS, "{report}");
    root.take_back("opt/workload");
    fs::remove_file(root.path("opt/truth")).expect("our own");
    fs::remove_file(socket).expect("our own");
}

/// Removed, it leaves what its owner may want again; purged, it leaves nothing.
fn it_goes(root: &Root, before: &root::Listing) {
    let settings = root.path("/etc/tracer/conf.d/own.toml");
    // Not read any more.
    fs::write(&settings, "verbose = 1\n").expect("its folder");
    root.run(&["dpkg", "--remove", "tracer"]);
    for gone in ["/usr/bin/tracer", "/usr/lib/systemd/system/tracer.service"] {
        assert!(!root.path(gone).exists(), "{gone}");
    }
    let wants = root.path("/etc/systemd/system/multi-user.target.wants/tracer.service");
    assert!(wants.symlink_metadata().is_err(), "its link is gone");
    let changed = fs::read_to_string(root.path("/etc/tracer/tracer.toml")).expect("kept");
    assert!(changed.contains("size=512K"), "what its owner changed stays");
    assert!(settings.exists() && root.path("var/log/private/tracer/events.json").exists());
    root.run(&["dpkg", "--purge", "tracer"]);
    root.assert_clean_of("tracer", before, &[]);
}

/// Debian's own opinion of its package.
#[test]
fn lintian_finds_no_error() {
    let Some(folder) = made() else { return };
    let Some(output) = output("lintian", &["--fail-on", "error"], &package(&folder, "deb")) else {
        return;
    };
    println!("{}", said(&output));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_rpm_package_is_sound() {
    let Some(folder) = made() else { return };
    let path = package(&folder, "rpm");
    let Some(listed) = lines("rpm", &["-qpl"], &path) else { return };
    for file in [
        "/usr/bin/tracer",
        "/usr/lib/systemd/system/tracer.service",
        "/etc/tracer/conf.d",
        "/usr/share/man/man1/tracer.1.gz",
        "/usr/share/zsh/site-functions/_tracer",
        "/usr/share/licenses/tracer/LICENSE-MIT",
    ] {
        assert!(listed.lines().any(|line| line == file), "no {file} in\n{listed}");
    }
    let checked = lines("rpm", &["-K"], &path).expect("rpm");
    assert!(checked.trim_end().ends_with("digests OK"), "{checked}");
    let scripts = lines("rpm", &["-qp", "--scripts"], &path).expect("rpm");
    assert!(scripts.contains("systemctl"), "{scripts}");
    // A byte that is another one is seen.
    let mut bytes = fs::read(&path).expect("a package");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    let broken = tempfile::NamedTempFile::with_suffix(".rpm").expect("room");
    fs::write(broken.path(), bytes).expect("room");
    let refused = output("rpm", &["-K"], broken.path()).expect("rpm");
    assert!(!refused.status.success(), "{}", said(&refused));
}

/// It is installed by rpm(8) in an empty root, and goes again.
#[test]
fn the_rpm_package_comes_and_goes() {
    if !require_root_bpf(GROUP) {
        return;
    }
    let Some(folder) = made() else { return };
    let path = package(&folder, "rpm");
    let root = tempfile::TempDir::new().expect("a temporary folder");
    let option = format!("--root={}", root.path().display());
    // No shell is there for its scripts, and no package that has the libraries.
    let install = [&*option, "--install", "--nodeps", "--noscripts", "--noplugins"];
    if lines("rpm", &install, &path).is_none() {
        return;
    }
    let program = root.path().join("usr/bin/tracer");
    let mode = fs::metadata(&program).expect("the program").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let shipped = fs::read(folder.join("tracer")).expect("the program");
    assert!(fs::read(&program).expect("the program") == shipped, "the same bytes");
    let remove = [&*option, "--erase", "--noscripts", "--noplugins"];
    lines("rpm", &remove, Path::new("tracer")).expect("rpm");
    for gone in [program, root.path().join("etc/tracer"), root.path().join("usr/share/doc/tracer")]
    {
        assert!(!gone.exists(), "{}", gone.display());
    }
}

/// The program for images with nothing; the packaged one with what its package names.
#[test]
fn what_it_is_linked_with_it_depends_on() {
    let Some(folder) = made() else { return };
    let linked = |program: &str| {
        let text = said(&output("ldd", &[], &folder.join(program))?);
        Some(text.contains("statically linked") || text.contains("not a dynamic"))
    };
    if folder.join("tracer-static").exists() {
        assert_ne!(linked("tracer-static"), Some(false));
    }
    let Some(is_static) = linked("tracer") else { return };
    let deb = package(&folder, "deb");
    let Some(depends) = lines("dpkg-deb", &["--showformat=${Depends}", "--show"], &deb) else {
        return;
    };
    println!("static: {is_static}; Depends: {depends}");
    assert_eq!(depends.is_empty(), is_static);
}

/// A Python of the environments that `cargo xtask setup` makes runs this with a file.
fn python(environment: &str, code: &str, file: &Path) -> Option<Output> {
    let Some(python) = tools::python(environment) else {
        skip(GROUP, &format!("no {environment} for Python"));
        return None;
    };
    Some(Command::new(python).args(["-c", code]).arg(file).output().expect("it runs"))
}

const CYCLONEDX: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(error) if error else 0)";

/// Holds the bill of materials against CycloneDX's published schema.
#[test]
fn the_bill_of_materials_is_valid() {
    let Some(folder) = made() else { return };
    let path = folder.join("tracer.cdx.json");
    let text = fs::read_to_string(&path).expect("a bill");
    let bill: Value = serde_json::from_str(&text).expect("JSON");
    let components = bill["components"].as_array().expect("a list");
    let has = |name: &str| components.iter().any(|it| it["name"] == name);
    assert!(has("aya") && has("aya-ebpf") && has("rust-std"), "{text}");
    assert!(!has("proptest") && !has("jsonschema"), "what only tests take is not shipped");
    let Some(output) = python("sbom", CYCLONEDX, &path) else { return };
    assert!(output.status.success(), "{}", said(&output));
    // One that is not valid is refused.
    let broken = tempfile::NamedTempFile::new().expect("room");
    fs::write(broken.path(), text.replace("\"library\"", "\"libary\"")).expect("room");
    let output = python("sbom", CYCLONEDX, broken.path()).expect("it was there");
    assert!(!output.status.success());
}

const KUBERNETES: &str = "import sys, yaml, kubernetes_validate
for document in yaml.safe_load_all(open(sys.argv[1])):
    kubernetes_validate.validate(document, '1.31', strict=True)";

/// Holds the DaemonSet against Kubernetes' published schema, and its rights against those of
/// the unit.
#[test]
fn the_daemonset_is_valid() {
    let Some(folder) = made() else { return };
    let path = folder.join("daemonset.yaml");
    let Some(output) = python("kubernetes", KUBERNETES, &path) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let text = fs::read_to_string(&path).expect("text");
    let broken = tempfile::NamedTempFile::new().expect("room");
    fs::write(broken.path(), text.replace("hostPID: true", "hostPid: true")).expect("room");
    let output = python("kubernetes", KUBERNETES, broken.path()).expect("it was there");
    assert!(!output.status.success(), "a field that is none");
}

/// The container and the DaemonSet ask for what the unit has, and no more.
#[test]
fn everywhere_the_same_capabilities() {
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracer/service");
    let read = |name: &str| fs::read_to_string(service.join(name)).expect("a file");
    let unit = read("tracer.service");
    let bound = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = bound.expect("a line").split(' ').map(|name| name.trim_start_matches("CAP_"));
    let mut names: Vec<_> = names.collect();
    names.sort();
    let container = read("Containerfile");
    let mut added: Vec<_> = container
        .split("--cap-add ")
        .skip(1)
        .filter_map(|it| it.split_whitespace().next())
        .collect();
    added.sort();
    assert_eq!(added, names);
    let daemonset = read("daemonset.yaml");
    let image = concat!("image: tracer:", env!("CARGO_PKG_VERSION"));
    assert!(daemonset.lines().any(|line| line.trim() == image), "{image}");
    let added = daemonset.lines().find_map(|line| line.trim().strip_prefix("add: "));
    let mut added: Vec<String> = serde_json::from_str(added.expect("a list")).expect("a list");
    added.sort();
    assert_eq!(added, names);
    // An instruction, its continuation, a comment, or nothing.
    let known = ["FROM ", "COPY ", "ENTRYPOINT [", "CMD [", "#"];
    let lines = container.lines().filter(|line| !line.is_empty());
    let strange: Vec<_> =
        lines.filter(|line| !known.iter().any(|known| line.starts_with(known))).collect();
    assert!(strange.is_empty(), "{strange:?}");
}
