//! Where the fields have their values from.

use super::{
    super::own::{self, LineId, Own, Shown},
    Account, Agent, Boot, Call, CallEvent, Container, ECS, End, Error, Host, Id, Network, Os,
    Parent, Process, Related, Report, ReportEvent, Thread,
};
use crate::{
    event::{self, Errno, Event},
    health::{Health, Origin},
};

impl<'a> Call<'a> {
    pub(super) fn new(event: &'a Event, origin: &'a Origin) -> Self {
        let network = Network::new(event);
        let ips: Vec<_> = own::addresses(event).into_iter().collect();
        let (user, group) = (event.process.uid, event.process.gid);
        Self {
            timestamp: own::when(event),
            ecs: ECS,
            event: CallEvent::new(event, network.is_some()),
            process: Process::new(&event.process),
            user: Account { id: Shown(user), group: Id { id: Shown(group) } },
            container: event.process.container.as_ref().map(|container| Container {
                id: &container.id,
                runtime: container.runtime.as_deref(),
            }),
            host: Host::new(origin),
            agent: Agent::new(origin),
            network,
            source: own::sender(event).map(End::new),
            destination: own::receiver(event).map(End::new),
            related: (!ips.is_empty()).then_some(Related { ip: ips }),
            error: event.error.as_ref().map(Error::new),
            tags: &event.findings,
            tracer: Own(event),
        }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(health: &'a Health, origin: &'a Origin) -> Self {
        Self {
            timestamp: health.time,
            ecs: ECS,
            message: health.summary(),
            event: ReportEvent {
                kind: "metric",
                action: health.kind.name(),
                sequence: health.seq,
                id: Shown(LineId(origin.run_id(), health.seq)),
                module: "tracer",
                dataset: "tracer.health",
                provider: "tracer",
            },
            host: Host::new(origin),
            agent: Agent::new(origin),
            tracer: Own(health),
        }
    }
}

impl<'a> CallEvent<'a> {
    fn new(event: &'a Event, network: bool) -> Self {
        Self {
            kind: "event",
            category: if network { &["api", "network"] } else { &["api"] },
            types: &["access"],
            action: event.event,
            code: Shown(event.syscall.nr),
            outcome: match event.ret {
                None => "unknown",
                Some(..0) => "failure",
                Some(0..) => "success",
            },
            duration: event.latency_ns,
            start: event.time,
            end: own::end(event),
            sequence: event.seq,
            id: Shown(LineId(event.run_id, event.seq)),
            module: "tracer",
            dataset: "tracer.event",
            provider: "kernel",
        }
    }
}

impl<'a> Process<'a> {
    fn new(process: &'a event::Process) -> Self {
        let name = process.comm.lossy().unwrap_or_default();
        Self {
            pid: process.pid,
            vpid: process.ns_pid,
            name: name.clone(),
            executable: process.exe.lossy(),
            start: process.start_time,
            parent: process.ppid.map(|pid| Parent { pid }),
            thread: Thread { id: process.tid, name },
            real_user: Id { id: Shown(process.uid) },
            real_group: Id { id: Shown(process.gid) },
        }
    }
}

impl<'a> Host<'a> {
    fn new(origin: &'a Origin) -> Self {
        Self {
            name: origin.host(),
            hostname: origin.host(),
            boot: origin.run.as_ref().map(|run| Boot { id: &run.boot_id }),
            os: Os { kind: "linux", kernel: &origin.stream.kernel },
        }
    }
}

impl<'a> Agent<'a> {
    fn new(origin: &'a Origin) -> Self {
        Self { kind: "tracer", version: origin.version(), ephemeral_id: origin.run_id() }
    }
}

impl<'a> Network<'a> {
    /// Of IP sockets only.
    fn new(event: &'a Event) -> Option<Self> {
        let kind = own::ip_version(event)?;
        let protocol = own::protocol(event);
        let is_number = |name: &&str| name.starts_with(|first: char| first.is_ascii_digit());
        let iana_number = protocol.filter(is_number);
        let transport = match protocol.filter(|name| !is_number(name)) {
            // Raw sockets of any protocol.
            None | Some("IP" | "RAW") => None,
            // IANA's keyword.
            Some("ICMPV6") => Some("ipv6-icmp".to_owned()),
            Some(name) => Some(name.to_ascii_lowercase()),
        };
        Some(Self { kind, transport, iana_number, direction: "ingress" })
    }
}

impl<'a> End<'a> {
    fn new(end: own::End<'a>) -> Self {
        let ip = end.ip.filter(|ip| !ip.is_unspecified());
        Self { address: end.address, ip, port: end.port }
    }
}

impl<'a> Error<'a> {
    fn new(error: &'a Errno) -> Self {
        Self { code: &error.name, message: own::text(error) }
    }
}
