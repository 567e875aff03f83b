//! What destinations have to reach once they are open: all else can be given up.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Destination, LogFile, Peer, StreamSocket};

/// TCP ports that are connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// These alone.
    These(BTreeSet<u16>),
    /// Any: the far end names others to go on to.
    Any,
}

/// What has to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Files that are opened anew, or made, renamed and removed beside themselves.
    pub files: Vec<PathBuf>,
    /// Folders that files are made and removed in.
    pub folders: Vec<PathBuf>,
    /// Files and folders that are read.
    pub read: Vec<PathBuf>,
    /// Unix sockets that are connected to.
    pub sockets: Vec<PathBuf>,
    /// Ports that are connected to.
    pub ports: Ports,
    /// Whether names of hosts are resolved.
    pub names: bool,
}

impl Default for Reach {
    /// Nothing.
    fn default() -> Self {
        Self {
            files: Vec::new(),
            folders: Vec::new(),
            read: Vec::new(),
            sockets: Vec::new(),
            ports: Ports::These(BTreeSet::new()),
            names: false,
        }
    }
}

impl Reach {
    /// That of a destination.
    pub fn of(destination: &Destination) -> Self {
        match destination {
            Destination::Stdout => Self::default(),
            Destination::File(LogFile { path, .. }) => {
                Self { files: vec![path.clone()], ..Self::default() }
            }
            Destination::Stream(StreamSocket { peer: Peer::Unix(path), .. }) => {
                Self { sockets: vec![path.clone()], ..Self::default() }
            }
            Destination::Stream(StreamSocket { peer: Peer::Tcp { host, port }, .. }) => {
                Self::tcp(host, *port)
            }
            #[cfg(feature = "nats")]
            Destination::Nats(_) => Self::cluster(trusted()),
            #[cfg(feature = "otlp")]
            Destination::Otlp(receiver) => {
                let (host, port) = &receiver.server;
                Self { read: trusted(), ..Self::tcp(host, *port) }
            }
            #[cfg(feature = "kafka")]
            Destination::Kafka(topic) => {
                Self::cluster(trusted().into_iter().chain(topic.files()).collect())
            }
        }
    }

    /// That of a cluster, whose members name each other, and of these files.
    #[cfg(any(feature = "nats", feature = "kafka"))]
    fn cluster(read: Vec<PathBuf>) -> Self {
        Self { ports: Ports::Any, names: true, read, ..Self::default() }
    }

    /// That of a connection to a host, by name or address.
    pub fn tcp(host: &str, port: u16) -> Self {
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        Self { ports: Ports::These([port].into()), names: !is_address, ..Self::default() }
    }

    /// Whether there are connections by TCP.
    pub fn has_tcp(&self) -> bool {
        !matches!(&self.ports, Ports::These(ports) if ports.is_empty())
    }

    /// Whether what another one takes to be reached can be reached by this one as well. Files
    /// are not looked at: they can be opened or not.
    pub fn covers(&self, other: &Self) -> bool {
        let ports = match (&self.ports, &other.ports) {
            (Ports::Any, _) => true,
            (Ports::These(_), Ports::Any) => false,
            (Ports::These(ours), Ports::These(theirs)) => theirs.is_subset(ours),
        };
        let read = |path: &PathBuf| self.read.iter().any(|ours| path.starts_with(ours));
        ports
            && (self.names || !other.names)
            && (other.sockets.is_empty() || !self.sockets.is_empty())
            && other.read.iter().all(read)
    }

    /// With that of another.
    pub fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.folders.extend(other.folders);
        self.read.extend(other.read);
        self.sockets.extend(other.sockets);
        self.ports = match (self.ports, other.ports) {
            (Ports::These(mut ours), Ports::These(theirs)) => {
                ours.extend(theirs);
                Ports::These(ours)
            }
            _ => Ports::Any,
        };
        self.names |= other.names;
        self
    }
}

/// Where systems keep the certificates that they trust.
#[cfg(any(feature = "nats", feature = "otlp", feature = "kafka"))]
fn trusted() -> Vec<PathBuf> {
    let usual = ["/etc/ssl", "/etc/pki", "/usr/lib/ssl", "/usr/share/ca-certificates"];
    usual.map(PathBuf::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_reach_what_they_name() {
        let reach = |texts: &[&str]| {
            let each = texts.iter().map(|text| Reach::of(&Destination::parse(text).unwrap()));
            each.fold(Reach::default(), Reach::and)
        };
        assert_eq!(reach(&["-"]), Reach::default());
        assert!(!reach(&["-", "file:/a", "unix:/b"]).has_tcp());
        let all = reach(&["file:/a/b?size=1M", "unix:/s", "tcp:[::1]:5", "tcp:127.0.0.1:6"]);
        assert_eq!((all.files, all.sockets), (vec!["/a/b".into()], vec!["/s".into()]));
        assert_eq!((all.ports, all.names), (Ports::These([5, 6].into()), false));
        assert!(reach(&["tcp:collector:514"]).names);
        let any = Reach { ports: Ports::Any, ..Reach::default() };
        assert_eq!(any.and(Reach::tcp("::1", 5)).ports, Ports::Any);
    }
}
