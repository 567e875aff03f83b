//! The container that a cgroup is of, by its path: every runtime names the cgroups of
//! its containers in a way of its own.
//!
//! The path is taken apart from its end, so that of nested containers the innermost one
//! is found. What belongs to a runtime itself, such as `libpod-conmon-…`, is no
//! container, and what it lies in may be one.

use std::borrow::Cow;

use crate::event::Container;

/// Bytes of the ids of all runtimes but systemd: SHA-256, or as many random bytes, in hex.
const ID_LEN: usize = 64;
const DOCKER: &str = "docker";
const CONTAINERD: &str = "containerd";
const CRIO: &str = "cri-o";
const PODMAN: &str = "podman";
const NSPAWN: &str = "systemd-nspawn";

/// What comes before the id in the name of a cgroup, both as a systemd scope
/// (`docker-ID.scope`) and as a plain directory (`crio-ID`).
const BEFORE: [(&str, &str); 6] = [
    ("docker-", DOCKER),
    ("cri-containerd-", CONTAINERD),
    ("nerdctl-", CONTAINERD),
    ("crio-", CRIO),
    ("libpod-payload-", PODMAN),
    ("libpod-", PODMAN),
];

/// The container that a cgroup is of or lies in.
pub fn of(path: &[u8]) -> Option<Container> {
    // No runtime makes names that are not UTF-8; others on the way are of no interest.
    let names: Vec<&str> = path
        .split(|byte| *byte == b'/')
        .map(|name| std::str::from_utf8(name).unwrap_or_default())
        .collect();
    (0..names.len()).rev().find_map(|i| {
        let before = i.checked_sub(1).and_then(|i| names.get(i)).copied().unwrap_or_default();
        let after = names.get(i + 1).copied();
        let name = names.get(i).copied()?;
        named(name).or_else(|| bare(name, before)).or_else(|| nspawn(name, after))
    })
}

fn container(id: impl Into<String>, runtime: Option<&'static str>) -> Container {
    Container { id: id.into(), runtime: runtime.map(Cow::Borrowed) }
}

/// Whether it is what runtimes name their containers by.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && is_hex(text)
}

/// Whether all are digits of a number in hex, as runtimes write them.
pub fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `docker-ID.scope`, `crio-ID`; and `SLICE:cri-containerd:ID`, a name for systemd that
/// was made into a directory without it.
fn named(name: &str) -> Option<Container> {
    let scope = name.strip_suffix(".scope").unwrap_or(name);
    for (before, runtime) in BEFORE {
        if let Some(id) = scope.strip_prefix(before).filter(|id| is_id(id)) {
            return Some(container(id, Some(runtime)));
        }
    }
    let mut parts = name.rsplitn(3, ':');
    let (id, prefix, _slice) = (parts.next()?, parts.next()?, parts.next()?);
    let same = |(before, _): &&(&str, &str)| before.strip_suffix('-') == Some(prefix);
    let (_, runtime) = BEFORE.iter().find(same).filter(|_| is_id(id))?;
    Some(container(id, Some(runtime)))
}

/// `docker/ID`, and `podUID/ID` of Kubernetes, where any runtime may be meant.
fn bare(name: &str, before: &str) -> Option<Container> {
    if !is_id(name) {
        return None;
    }
    if before == "docker" {
        return Some(container(name, Some(DOCKER)));
    }
    let pod = before.starts_with("pod")
        || (before.starts_with("kubepods")
            && before.contains("-pod")
            && before.ends_with(".slice"));
    pod.then(|| container(name, None))
}

/// `systemd-nspawn@NAME.service` and `machine-NAME.scope`. What runs the container is
/// in a cgroup `supervisor` below them, and machines of others may have such scopes too.
fn nspawn(name: &str, after: Option<&str>) -> Option<Container> {
    if after == Some("supervisor") {
        return None;
    }
    let service =
        name.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service"));
    let scope = name.strip_prefix("machine-").and_then(|name| name.strip_suffix(".scope"));
    let id = unescaped(service.or(scope)?)?;
    // libvirt's virtual machines and containers.
    let others = ["qemu-", "lxc-"].iter().any(|before| id.starts_with(before));
    if id.is_empty() || (service.is_none() && others && after != Some("payload")) {
        return None;
    }
    Some(container(id, Some(NSPAWN)))
}

/// A name as it was before systemd put it into that of a unit: `\x2d` is `-`
/// (systemd.unit(5), systemd-escape(1)).
fn unescaped(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, escaped)) = rest.split_once("\\x") {
        bytes.extend(plain.as_bytes());
        bytes.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = escaped.get(2..)?;
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
