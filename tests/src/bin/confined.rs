//! Gives up what the tracer gives up once it is attached, by the same function and with the
//! settings for the same destinations; then tries what must fail and what must work, in a
//! thread that was started afterwards, and tells how each went.
//!
//! ```text
//! confined [--command] [--not] [--foreign-call] FOLDER DEST...
//! ```
//! With `--not`, nothing is given up, to show that the attempts are real. Each line is `{"try":NAME,"errno":N}`, with 0 for what worked. `--foreign-call` makes a
//! call by the numbers of another architecture at the end, which is the end.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use tracer::confine::{Settings, confine};
use tracer::sink::{Destination, Reach};

/// A file's handle, with room for the largest (MAX_HANDLE_SZ).
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

/// What is tried, under its name.
type Try<'a> = (&'static str, Box<dyn Fn() -> io::Result<()> + 'a>);

fn main() {
    let mut args: Vec<String> = env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = args.len();
        args.retain(|arg| arg != name);
        args.len() < before
    };
    let (command, not, foreign) = (flag("--command"), flag("--not"), flag("--foreign-call"));
    let mut args = args.into_iter();
    let folder = PathBuf::from(args.next().expect("a folder of its own"));
    let reach = args
        .map(|text| Reach::of(&Destination::parse(&text).expect("a destination")))
        .fold(Reach::default(), Reach::and);
    // As a listener that was there before.
    let foreign_file = folder.parent().expect("a parent").join("foreign");
    fs::write(&foreign_file, "a secret\n").expect("room");
    let handle = handle_of(&foreign_file);
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = server.local_addr().expect("bound").port();
    if !not {
        let settings = Settings { reach, command, looks_up_exe: false };
        let outcome = confine(&settings).expect("confined");
        for lacking in &outcome.lacking {
            eprintln!("not confined by {lacking}");
        }
    }
    thread::spawn(move || {
        for (name, attempt) in tries(&folder, other, &handle) {
            let errno = attempt().map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0);
            println!("{{\"try\":{name:?},\"errno\":{errno}}}");
        }
        io::stdout().flush().expect("a reader");
        if foreign {
            foreign_call();
            println!("{{\"try\":\"foreign_call\",\"errno\":0}}");
        }
    })
    .join()
    .expect("no panic");
}

/// What a file is found by without its path, where its file system has that.
fn handle_of(file: &Path) -> Option<Handle> {
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; 128] };
    let (path, mut mount) = (path(file.to_str().expect("UTF-8")), 0);
    let into = (&raw mut handle).cast();
    // SAFETY: a string, a handle with as much room as it says, and a number's place.
    let found =
        unsafe { libc::name_to_handle_at(libc::AT_FDCWD, path.as_ptr(), into, &raw mut mount, 0) };
    (found == 0).then_some(handle)
}

/// Opens it so, and reads it.
fn read_by_handle(folder: &Path, handle: &Option<Handle>, flags: libc::c_int) -> io::Result<()> {
    let Some(handle) = handle else { return Err(io::ErrorKind::Unsupported.into()) };
    let mount = fs::File::open(folder)?;
    let mut copy = Handle { bytes: handle.bytes, kind: handle.kind, handle: handle.handle };
    // SAFETY: a descriptor that is open, and a handle that is as long as it says.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut copy).cast(), flags) };
    called(fd.into())?;
    fs::read(format!("/proc/self/fd/{fd}")).map(drop)
}

/// What a system call returned.
fn called(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A system call with numbers for arguments.
fn call(number: libc::c_long, args: [usize; 5]) -> io::Result<()> {
    let [a, b, c, d, e] = args;
    // SAFETY: each caller passes numbers, or null pointers, or memory that it owns.
    called(unsafe { libc::syscall(number, a, b, c, d, e, 0) })
}

fn path(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

/// The attempts, with a folder that files may be made in where a destination is there, and a
/// port that listens and that no destination names.
fn tries<'a>(folder: &'a Path, other: u16, handle: &'a Option<Handle>) -> Vec<Try<'a>> {
    let parent = std::os::unix::process::parent_id() as usize;
    let own = folder.join("own");
    let moved = folder.join("moved");
    let outside = folder.parent().expect("a parent").join("outside");
    let mut all: Vec<Try<'_>> = Vec::new();
    let mut add = |name, attempt: Box<dyn Fn() -> io::Result<()> + 'a>| all.push((name, attempt));
    add("read_passwd", Box::new(|| fs::read("/etc/passwd").map(drop)));
    add("read_binary", Box::new(|| fs::read("/proc/self/exe").map(drop)));
    add("list_root", Box::new(|| fs::read_dir("/").map(drop)));
    add("read_proc_stat", Box::new(|| fs::read("/proc/1/stat").map(drop)));
    add("read_proc_cgroup", Box::new(|| fs::read("/proc/1/cgroup").map(drop)));
    add("read_fdinfo", Box::new(|| fs::read("/proc/self/fdinfo/1").map(drop)));
    add(
        "read_memory_of_parent",
        Box::new(move || fs::File::open(format!("/proc/{parent}/mem")).map(drop)),
    );
    add("write_sysctl", {
        Box::new(|| fs::OpenOptions::new().write(true).open("/proc/sys/vm/swappiness").map(drop))
    });
    add("make_file", {
        let own = own.clone();
        Box::new(move || fs::write(&own, "a line\n"))
    });
    add("rename_file", {
        let moved = moved.clone();
        Box::new(move || fs::rename(&own, &moved))
    });
    add("move_file_out", {
        let (moved, outside) = (moved.clone(), outside.clone());
        Box::new(move || fs::rename(&moved, &outside))
    });
    add("remove_file", Box::new(move || fs::remove_file(&moved)));
    add("make_file_outside", Box::new(move || fs::write(&outside, "a line\n")));
    add("read_by_handle", Box::new(|| read_by_handle(folder, handle, libc::O_RDONLY)));
    add("read_by_path_of_handle", Box::new(|| read_by_handle(folder, handle, libc::O_PATH)));
    add("make_link", {
        let link = folder.join("link");
        Box::new(move || std::os::unix::fs::symlink("/etc/passwd", &link))
    });
    add("chown", {
        let folder = folder.to_owned();
        Box::new(move || std::os::unix::fs::chown(&folder, Some(1), Some(1)))
    });
    add("fork", {
        Box::new(|| {
            // SAFETY: a child, if there is one, ends at once.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: nothing is to be cleaned up.
                unsafe { libc::_exit(0) };
            }
            called(pid.into())
        })
    });
    add(
        "start_thread",
        Box::new(|| {
            thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::ErrorKind::Other.into())
        }),
    );
    add("load_program", {
        Box::new(|| {
            // BPF_PROG_LOAD of a program that returns 0, for a socket.
            let code: [u64; 2] = [0xb7, 0x95];
            let license = path("GPL");
            let mut attr = [0_u64; 16];
            attr[0] = 1 | 2 << 32;
            attr[1] = code.as_ptr() as u64;
            attr[2] = license.as_ptr() as u64;
            call(libc::SYS_bpf, [5, attr.as_ptr() as usize, 48, 0, 0])
        })
    });
    add("make_map", {
        Box::new(|| {
            // BPF_MAP_CREATE of an array of one u32.
            let attr: [u32; 8] = [2, 4, 4, 1, 0, 0, 0, 0];
            call(libc::SYS_bpf, [0, attr.as_ptr() as usize, 32, 0, 0])
        })
    });
    add("open_any_program", {
        Box::new(|| {
            // BPF_PROG_GET_NEXT_ID
            let attr = [0_u32; 4];
            call(libc::SYS_bpf, [11, attr.as_ptr() as usize, 16, 0, 0])
        })
    });
    add(
        "trace_parent",
        Box::new(move || call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, parent, 0, 0, 0])),
    );
    add("signal_parent", Box::new(move || call(libc::SYS_kill, [parent, 0, 0, 0, 0])));
    add("end_parent", Box::new(move || call(libc::SYS_tgkill, [parent, parent, 0, 0, 0])));
    add("mount", Box::new(|| call(libc::SYS_mount, [0; 5])));
    add(
        "unshare",
        Box::new(|| call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0])),
    );
    add("load_module", Box::new(|| call(libc::SYS_init_module, [0; 5])));
    add("keyctl", Box::new(|| call(libc::SYS_keyctl, [0; 5])));
    add("perf_event_open", Box::new(|| call(libc::SYS_perf_event_open, [0; 5])));
    add("io_uring", Box::new(|| call(libc::SYS_io_uring_setup, [0; 5])));
    add("reboot", Box::new(|| call(libc::SYS_reboot, [0; 5])));
    add("setuid", Box::new(|| call(libc::SYS_setuid, [0; 5])));
    add("capset", Box::new(|| call(libc::SYS_capset, [0; 5])));
    add("set_limit", {
        Box::new(|| {
            let limit = [0_u64; 2];
            call(
                libc::SYS_prlimit64,
                [0, libc::RLIMIT_CORE as usize, limit.as_ptr() as usize, 0, 0],
            )
        })
    });
    add("executable_memory", {
        Box::new(|| {
            let prot = libc::PROT_READ | libc::PROT_EXEC;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            call(libc::SYS_mmap, [0, 4096, prot as usize, flags as usize, usize::MAX])
        })
    });
    add(
        "type_into_terminal",
        Box::new(|| call(libc::SYS_ioctl, [0, libc::TIOCSTI as usize, 0, 0, 0])),
    );
    add("socket_unix", Box::new(|| std::os::unix::net::UnixDatagram::unbound().map(drop)));
    add("socket_packet", {
        Box::new(|| {
            call(libc::SYS_socket, [libc::AF_PACKET as usize, libc::SOCK_RAW as usize, 0, 0, 0])
        })
    });
    add("connect_elsewhere", {
        Box::new(move || std::net::TcpStream::connect(("127.0.0.1", other)).map(drop))
    });
    add("listen", Box::new(|| std::net::TcpListener::bind("127.0.0.1:0").map(drop)));
    #[cfg(target_arch = "x86_64")]
    add("x32_call", Box::new(|| call(libc::SYS_getpid | 0x4000_0000, [0; 5])));
    if let Ok(port) = env::var("CONFINED_CONNECT") {
        let port: u16 = port.parse().expect("a port");
        add("connect", {
            Box::new(move || std::net::TcpStream::connect(("127.0.0.1", port)).map(drop))
        });
    }
    // It is the end, where it works.
    add("execute", {
        Box::new(|| {
            let (program, none) = (path("/bin/true"), std::ptr::null());
            let argv = [program.as_ptr(), none];
            // SAFETY: a string and a list that ends with null, both alive.
            called(unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), &none) }.into())
        })
    });
    all
}

/// getpid by the numbers of 32-bit programs.
#[cfg(target_arch = "x86_64")]
fn foreign_call() {
    // SAFETY: the call takes no arguments; the kernel may change rax and r8 to r11.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("eax") 20 => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_call() {}
