//! Paths of cgroups as the runtimes make them.

use super::*;

const A: &str = "8c1a9e2f0b7d4e56a3c8f1029b6d7e4c5f8a0b1c2d3e4f5061728394a5b6c7d8";
const B: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "d3f1c2a4-5b6e-4f70-8a91-b2c3d4e5f607";

/// The runtime and the id that a path with `{A}`, `{B}` and `{POD}` in it tells.
fn told(path: &str) -> Option<(Option<String>, String)> {
    let path = path.replace("{A}", A).replace("{B}", B).replace("{POD}", POD);
    of(path.as_bytes()).map(|found| (found.runtime.map(Cow::into_owned), found.id))
}

#[test]
fn paths_of_containers() {
    for (path, runtime, id) in [
        ("/docker/{A}", DOCKER, A),
        ("/system.slice/docker-{A}.scope", DOCKER, A),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{A}.scope", DOCKER, A),
        ("/system.slice/docker-{A}.scope/init.scope", DOCKER, A),
        ("/system.slice/docker-{A}.scope/system.slice/cron.service", DOCKER, A),
        ("/../../system.slice/docker-{A}.scope", DOCKER, A),
        ("/system.slice:docker:{A}", DOCKER, A),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD}.slice/cri-containerd-{A}.scope",
            CONTAINERD,
            A,
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod{POD}.slice:cri-containerd:{A}",
            CONTAINERD,
            A,
        ),
        ("/system.slice/nerdctl-{A}.scope", CONTAINERD, A),
        ("/kubepods.slice/kubepods-pod{POD}.slice/crio-{A}.scope", CRIO, A),
        ("/kubepods/besteffort/pod{POD}/crio-{A}", CRIO, A),
        ("/machine.slice/libpod-{A}.scope", PODMAN, A),
        ("/machine.slice/libpod-{A}.scope/container", PODMAN, A),
        ("/libpod_parent/libpod-{A}", PODMAN, A),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope", PODMAN, A),
        ("/system.slice/web.service/libpod-payload-{A}", PODMAN, A),
        ("/machine.slice/systemd-nspawn@debian.service/payload", NSPAWN, "debian"),
        ("/machine.slice/systemd-nspawn@my-box.service/payload/init.scope", NSPAWN, "my-box"),
        ("/machine.slice/systemd-nspawn@my\\x2dbox.service", NSPAWN, "my-box"),
        ("/machine.slice/machine-my\\x2dbox.scope/payload", NSPAWN, "my-box"),
        ("/machine.slice/machine-debian.scope", NSPAWN, "debian"),
        ("/machine.slice/machine-qemu\\x2dimage.scope/payload/init.scope", NSPAWN, "qemu-image"),
    ] {
        assert_eq!(told(path), Some((Some(runtime.to_owned()), id.to_owned())), "{path}");
    }
}

#[test]
fn a_pod_alone_does_not_tell_the_runtime() {
    for path in [
        "/kubepods/burstable/pod{POD}/{A}",
        "/kubepods/pod{POD}/{A}",
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD}.slice/{A}",
    ] {
        assert_eq!(told(path), Some((None, A.to_owned())), "{path}");
    }
}

#[test]
fn of_nested_containers_the_innermost_is_told() {
    for (path, runtime, id) in [
        ("/docker/{A}/docker/{B}", DOCKER, B),
        ("/system.slice/docker-{A}.scope/kubepods/burstable/pod{POD}/crio-{B}", CRIO, B),
        ("/machine.slice/machine-box.scope/payload/system.slice/docker-{B}.scope", DOCKER, B),
        ("/docker/{A}/machine.slice/machine-box.scope/payload/init.scope", NSPAWN, "box"),
        // What runs the inner one is in the outer one.
        ("/docker/{A}/machine.slice/libpod-conmon-{B}.scope", DOCKER, A),
        ("/docker/{A}/machine.slice/machine-box.scope/supervisor", DOCKER, A),
    ] {
        assert_eq!(told(path), Some((Some(runtime.to_owned()), id.to_owned())), "{path}");
    }
}

#[test]
fn what_is_no_container() {
    for path in [
        "",
        "/",
        "/init.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/system.slice/chrony.service",
        "/user.slice/user-1000.slice/session-2.scope",
        "/docker",
        "/docker/",
        "/docker/buildkit/{A}",
        "/{A}",
        "/docker/8c1a9e2f0b7d",
        "/system.slice/docker-8c1a9e2f0b7d.scope",
        "/system.slice/docker-{A}0.scope",
        "/system.slice/docker-{A}.service",
        "/machine.slice/libpod-conmon-{A}.scope",
        "/kubepods.slice/kubepods-pod{POD}.slice/crio-conmon-{A}.scope",
        "/kubepods/burstable/pod{POD}",
        "/kubepods.slice/kubepods-burstable.slice/{A}",
        "/machine.slice",
        "/machine.slice/machine-box.scope/supervisor",
        "/machine.slice/systemd-nspawn@box.service/supervisor",
        "/machine.slice/systemd-nspawn@.service",
        "/machine.slice/machine-.scope",
        "/machine.slice/machine-qemu\\x2d3\\x2dvm.scope/libvirt/emulator",
        "/machine.slice/machine-lxc\\x2d42\\x2dbox.scope",
        "/machine.slice/machine-bad\\x2.scope",
        "/machine.slice/machine-bad\\xzz.scope",
        "/machine.slice/machine-bad\\xff.scope",
        "/machine.slice/machine-\\xµ.scope",
    ] {
        assert_eq!(told(path), None, "{path}");
    }
    // Upper case is nobody's, and neither are bytes that are not UTF-8.
    assert_eq!(of(format!("/docker/{}", A.to_uppercase()).as_bytes()), None);
    assert_eq!(of(b"/docker/\xff\xfe"), None);
    assert_eq!(told("/docker/{A}/\u{fffd}").map(|(_, id)| id), Some(A.to_owned()));
}
