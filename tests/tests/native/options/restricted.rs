//! Kernels and privileges that lack something, made from this one: type
//! information hidden behind a mount, bpf(2) denied in a user namespace.

use std::process::Command;

use serde_json::{Value, json};
use tests::child::{self, Running};
use tests::confine::{Change, confine};
use tests::skip::{require_root_bpf, skip};
use tests::stream::Stream;
use tests::tools;
use tests::tracer::{self, Waiting};

use crate::WORKLOAD;

/// What no record has without type information.
const LOOKED_UP: [&str; 2] = ["exe", "container"];
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// The tracer where the kernel's BTF is an empty file.
fn without_btf(args: &[&str]) -> Option<Command> {
    if !require_root_bpf(module_path!()) {
        return None;
    }
    let mut command = tracer::command(args);
    confine(&mut command, &[Change::Empty(BTF)]);
    Some(command)
}

#[test]
fn without_type_information_calls_are_traced_and_the_rest_is_named() {
    let compat: &[&str] =
        if cfg!(target_arch = "x86_64") { &["time32", "socketcall"] } else { &[] };
    for scenario in [&["udp4", "cut", "edge", "restarted"], compat].concat() {
        let workload = Waiting::start(WORKLOAD, &[scenario]);
        let pid = workload.pid();
        let args = ["--pid", &pid, "-o", "json", "--detail", "messages"];
        let Some(command) = without_btf(&args) else { return };
        let mut tracer = Running::start(command);
        let attached = tracer
            .stderr
            .wait_for("`tracer: attached`", |line| line.starts_with("tracer: attached"));
        assert!(!attached.contains("typed"), "BTF is hidden: {attached}");
        let mut truth = workload.go();
        tracer.signal(libc::SIGINT);
        let finished = tracer.finish();
        finished.expect_code(0);
        let stream = Stream::parse(&finished.stdout);
        stream.check();
        let unknown = ["ppid", "start_time", "ns.pid", "ns.mnt", "ns.net", "ns_pid", "ns_tid"];
        for call in &mut truth {
            for field in unknown {
                call["missing"][format!("process.{field}")] = json!("unsupported_kernel");
            }
            // Nothing is said of a descriptor that is not open.
            if call["socket"].get("$absent").is_none() {
                call["socket"] = json!(null);
                call["missing"]["socket"] = json!("unsupported_kernel");
            }
            let process = &mut call["process"];
            process["ppid"] = json!(null);
            process["start_time"] = json!(null);
            process["ns"] = json!({"pid": null, "mnt": null, "net": null});
            process["ns_pid"] = json!(null);
            process["ns_tid"] = json!(null);
            // Looked up in /proc, where the process may be gone by then, or not be told
            // from another one that had its pid.
            for field in LOOKED_UP {
                process.as_object_mut().expect("an object").remove(field);
            }
        }
        let without = |mut event: Value| {
            for field in LOOKED_UP {
                let path = format!("process.{field}");
                let missing = event["missing"].as_object_mut().expect("an object").remove(&path);
                let reason = missing.as_ref().map(|reason| reason.as_str().expect("a reason"));
                assert!(matches!(reason, None | Some("gone" | "not_captured")), "{missing:?}");
                let value = &event["process"][field];
                assert!(value.is_null() || missing.is_none(), "{field} of {event}");
                let own = value.as_str().is_none_or(|exe| exe == WORKLOAD);
                assert!(own || field != "exe", "{event}");
            }
            event
        };
        let events = stream.events.iter().cloned().map(without).collect();
        let stream = Stream { events, ..stream };
        stream.assert_exactly(&truth);
    }
}

#[test]
fn following_without_type_information_says_what_is_missing() {
    let Some(command) = without_btf(&["--", WORKLOAD, "eagain"]) else { return };
    let finished = Running::start(command).finish();
    finished.expect_code(3);
    for word in ["--follow", BTF, "CONFIG_DEBUG_INFO_BTF"] {
        assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
    }
}

#[test]
fn bpf_denied_in_a_user_namespace_is_explained() {
    let binary = tracer::binary().to_str().expect("a path in UTF-8");
    if tools::find("unshare").is_none() || !child::run("unshare", &["-Ur", "true"]).status.success()
    {
        skip(module_path!(), "user namespaces can't be made here");
        return;
    }
    let finished = child::run("unshare", &["-Ur", binary]);
    finished.expect_code(3);
    assert_eq!(finished.stdout, "");
    for word in ["bpf(2)", "lockdown", "user namespace"] {
        assert!(finished.stderr.contains(word), "must say {word}: {}", finished.stderr);
    }
}
