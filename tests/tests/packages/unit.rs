//! The service as the installed unit has it, run in a root without systemd: its user, its
//! capabilities, its view of the files and its network are made with unshare(1) and
//! setpriv(1). Its filter of calls is held against the tracer's calls in `service.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;

use tests::child::Running;

use super::root::Root;

/// A user that nothing belongs to, as DynamicUser= finds one.
pub const USER: u32 = 65_532;

/// ProtectSystem=strict, ProtectHome=, PrivateTmp=, PrivateDevices= and
/// ProtectKernelTunables=, with LogsDirectory= and StateDirectory= left to be written in.
const VIEW: &str = r#"
set -e
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
for hidden in root home tmp boot; do
    mount -t tmpfs -o mode=755 tmpfs "$root/$hidden"
done
touch "$root/tmp/inaccessible"
chmod 000 "$root/tmp/inaccessible"
[ ! -e /proc/kallsyms ] || mount --bind "$root/tmp/inaccessible" "$root/proc/kallsyms"
mount --bind /proc/sys "$root/proc/sys"
for own in log lib; do
    mount --bind "$root/var/$own/private/tracer" "$root/var/$own/private/tracer"
done
awk '{ print $5 }' /proc/self/mountinfo | while read -r point; do
    case $point in
    "$root/var/log/private/tracer" | "$root/var/lib/private/tracer") ;;
    "$root/proc" | "$root/dev" | "$root/dev/"*) ;;
    "$root" | "$root/"*) [ ! -e "$point" ] || mount -o remount,bind,ro "$point" ;;
    esac
done
cd /
exec chroot "$root" "$@"
"#;

pub struct Unit {
    text: String,
}

impl Unit {
    pub fn read(root: &Root) -> Self {
        let path = root.path("/usr/lib/systemd/system/tracer.service");
        Self { text: fs::read_to_string(path).expect("the installed unit") }
    }

    /// Words of the last line of a directive.
    fn words(&self, directive: &str) -> Vec<&str> {
        let value = |line: &str| line.strip_prefix(directive)?.strip_prefix('=').map(str::len);
        let line = self.text.lines().rfind(|line| value(line).is_some()).expect(directive);
        line[directive.len() + 1..].split_ascii_whitespace().collect()
    }

    /// What it starts.
    fn exec_start(&self) -> Vec<&str> {
        let words = self.words("ExecStart");
        assert_eq!(words[0], "/usr/bin/tracer");
        words
    }

    /// setpriv(1) for its rights.
    fn rights(&self) -> Vec<String> {
        assert_eq!(self.words("DynamicUser"), ["yes"]);
        assert_eq!(self.words("NoNewPrivileges"), ["yes"]);
        let ambient = self.words("AmbientCapabilities");
        assert_eq!(ambient, self.words("CapabilityBoundingSet"));
        let names = ambient.iter().map(|name| name.trim_start_matches("CAP_").to_lowercase());
        let set = names.fold("-all".to_owned(), |set, name| format!("{set},+{name}"));
        let user = USER.to_string();
        let sets = ["--inh-caps=", "--ambient-caps=", "--bounding-set="];
        let sets = sets.iter().map(|option| format!("{option}{set}"));
        let rest = ["--no-new-privs", "--clear-groups", "--reuid", &user, "--regid", &user];
        sets.chain(rest.map(str::to_owned)).collect()
    }

    /// The folders that systemd makes for it.
    pub fn folders(&self, root: &Root) {
        for (directive, above) in [("LogsDirectory", "log"), ("StateDirectory", "lib")] {
            assert_eq!(self.words(directive), ["tracer"]);
            let mode = self.words(&format!("{directive}Mode"))[0];
            let mode = u32::from_str_radix(mode, 8).expect("octal digits");
            let own = root.path(&format!("var/{above}/private/tracer"));
            fs::create_dir_all(&own).expect("our own root");
            fs::set_permissions(&own, fs::Permissions::from_mode(mode)).expect("our own");
            chown(&own, Some(USER), Some(USER)).expect("root may");
            symlink("private/tracer", root.path(&format!("var/{above}/tracer"))).expect("room");
        }
    }

    /// Starts it as systemd would, in its folders.
    pub fn start(&self, root: &Root) -> Running {
        assert_eq!(self.words("PrivateNetwork"), ["yes"]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", VIEW, "view"]).arg(root.folder());
        command.arg("setpriv").args(self.rights()).args(self.exec_start());
        command.env("NOTIFY_SOCKET", "/var/log/tracer/notify");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Running::start(command)
    }
}
