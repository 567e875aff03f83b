//! The files for NATS: a server with that configuration makes that stream, stores what is
//! sent again once, and takes long events.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::child::Running;
use tests::skip::skip;
use tests::stream::count;
use tests::tools;

use crate::{free_port, recipe};

/// A connection, and where it is answered.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    const INBOX: &str = "_INBOX.recipe";

    fn connect(port: &str) -> Self {
        let start = Instant::now();
        let stream = loop {
            match TcpStream::connect(format!("127.0.0.1:{port}")) {
                Ok(stream) => break stream,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut client = Self { stream: BufReader::new(stream) };
        assert!(client.line().starts_with("INFO "));
        let hello = r#"{"verbose":false,"pedantic":false,"headers":true,"lang":"rust"}"#;
        client.send(format!("CONNECT {hello}\r\nSUB {}.* 1\r\n", Self::INBOX).as_bytes());
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        line.trim_end().to_owned()
    }

    /// Publishes and returns the answer.
    fn ask(&mut self, subject: &str, id: Option<&str>, payload: &[u8]) -> Value {
        let reply = format!("{}.1", Self::INBOX);
        let head = match id {
            Some(id) => format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n"),
            None => String::new(),
        };
        let total = head.len() + payload.len();
        let begin = match id {
            Some(_) => format!("HPUB {subject} {reply} {} {total}\r\n{head}", head.len()),
            None => format!("PUB {subject} {reply} {total}\r\n"),
        };
        self.send(&[begin.as_bytes(), payload, b"\r\n"].concat());
        loop {
            let line = self.line();
            let words: Vec<_> = line.split(' ').collect();
            match words.as_slice() {
                ["MSG", .., len] => {
                    let mut answer = vec![0; len.parse::<usize>().expect("a length") + 2];
                    self.stream.read_exact(&mut answer).expect("the server answers");
                    return serde_json::from_slice(&answer).expect("JSON");
                }
                ["PING"] => self.send(b"PONG\r\n"),
                _ => panic!("{line}"),
            }
        }
    }
}

#[test]
fn nats_stores_once_what_is_sent_twice() {
    let Some(server) = tools::find("nats-server") else {
        return skip("recipes nats", "no nats-server");
    };
    let folder = TempDir::new().expect("a temporary folder");
    let (port, here) = (free_port().to_string(), folder.path().display().to_string());
    let text = recipe("nats/server.conf", &[("4222", &port), ("/var/lib/nats", &here)]);
    let config = folder.path().join("conf");
    fs::write(&config, text).expect("our own folder");
    let mut command = Command::new(server);
    command.arg("-c").arg(&config);
    let running = Running::start(command);

    let mut client = Client::connect(&port);
    let stream: Value = serde_json::from_str(&recipe("nats/stream.json", &[])).expect("JSON");
    let name = stream["name"].as_str().expect("a name");
    let create = format!("$JS.API.STREAM.CREATE.{name}");
    let made = client.ask(&create, None, stream.to_string().as_bytes());
    assert_eq!(made["error"], Value::Null, "{made}");
    for (field, value) in stream.as_object().expect("settings") {
        assert_eq!(&made["config"][field], value, "{field}");
    }
    let first = client.ask("tracer.events", Some("run-1"), b"{}");
    let again = client.ask("tracer.events", Some("run-1"), b"{}");
    assert_eq!((count(&first, "seq"), &first["duplicate"]), (1, &Value::Null), "{first}");
    assert_eq!((count(&again, "seq"), &again["duplicate"]), (1, &json!(true)), "{again}");
    let long = client.ask("tracer.events", Some("run-2"), &vec![b'x'; 7 << 20]);
    assert_eq!(count(&long, "seq"), 2, "{long}");
    running.signal(libc::SIGTERM);
    running.finish();
}
