//! nats-server for tests, and a client that asks it what it has: as the protocol has it
//! (docs.nats.io, "Client Protocol" and "JetStream wire API Reference"), and none of the
//! library's that the tracer uses.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::Running;
use crate::far::free_port;
use crate::skip::skip;
use crate::tools;

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// A server of the test's own, whose streams outlive it.
pub struct Server {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its files.
    pub folder: TempDir,
    running: Option<Running>,
}

impl Server {
    /// One with this configuration beside its port and store, not started yet; None, with
    /// a skip of the group, where there is no nats-server.
    pub fn new(group: &str, configuration: &str) -> Option<Self> {
        Self::with(group, |port, folder| {
            let store = folder.join("store");
            format!(
                "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?} }}\n{configuration}\n"
            )
        })
    }

    /// The same with all of its configuration, by the port and the folder that it has.
    pub fn with(group: &str, text: impl FnOnce(u16, &Path) -> String) -> Option<Self> {
        if tools::find("nats-server").is_none() {
            skip(group, "no nats-server");
            return None;
        }
        let (port, folder) = (free_port(), TempDir::new().expect("a temporary folder"));
        fs::write(folder.path().join("conf"), text(port, folder.path())).expect("our own folder");
        Some(Self { port, folder, running: None })
    }

    /// Starts it, and waits until it listens.
    pub fn start(&mut self) {
        let program = tools::find("nats-server").expect("it was there before");
        let mut command = Command::new(program);
        command.arg("-c").arg(self.folder.path().join("conf"));
        let mut running = Running::start(command);
        running.stderr.wait_for("nats-server", |line| line.contains("Server is ready"));
        self.running = Some(running);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.signal(libc::SIGKILL);
        running.wait();
    }

    /// A client of it.
    pub fn client(&self, login: &Value) -> Client {
        Client::connect(self.port, login)
    }

    /// Kills it in the moment when a stream has so many messages; returns how many it had.
    pub fn kill_at(&mut self, stream: &str, messages: u64) -> u64 {
        let had = self.client(&json!({})).wait_messages(stream, messages);
        self.kill();
        had
    }
}

/// What it said last, where a test fails.
impl Drop for Server {
    fn drop(&mut self) {
        let Some(running) = self.running.as_mut().filter(|_| thread::panicking()) else { return };
        let said = running.said();
        let last: Vec<_> = said.lines().rev().take(20).collect();
        eprintln!("nats-server: {}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
}

/// A connection to a server.
pub struct Client {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

/// What a message came with.
pub struct Message {
    /// The subscription that it is for.
    sid: String,
    /// Its headers as they are sent.
    pub headers: String,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Client {
    /// Connects with what `login` has, as `user` and `pass`.
    pub fn connect(port: u16, login: &Value) -> Self {
        let to = TcpStream::connect(("127.0.0.1", port)).expect("a server that listens");
        to.set_read_timeout(Some(ANSWER)).expect("a timeout");
        let mut client = Self { from: BufReader::new(to.try_clone().expect("a clone")), to };
        let mut hello = json!({"verbose": false, "pedantic": false, "headers": true,
            "no_responders": true, "lang": "tests", "version": "0"});
        let all = hello.as_object_mut().expect("an object");
        all.extend(login.as_object().expect("an object").clone());
        assert!(client.line().starts_with("INFO "), "a greeting");
        client.say(&format!("CONNECT {hello}\r\nSUB inbox.tests 1\r\n"));
        client
    }

    fn say(&mut self, text: &str) {
        self.to.write_all(text.as_bytes()).expect("the server reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("an answer in time");
        assert!(!line.is_empty(), "the server has gone");
        line
    }

    fn message(&mut self) -> Message {
        loop {
            let line = self.line();
            let words: Vec<_> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse::<usize>().expect("a length");
            let (headers, all) = match words[0] {
                "MSG" => (0, number(words.len() - 1)),
                "HMSG" => (number(words.len() - 2), number(words.len() - 1)),
                "PING" => {
                    self.say("PONG\r\n");
                    continue;
                }
                "+OK" | "INFO" | "PONG" => continue,
                _ => panic!("the server says {line}"),
            };
            let mut bytes = vec![0; all + 2];
            self.from.read_exact(&mut bytes).expect("a whole message");
            bytes.truncate(all);
            let payload = bytes.split_off(headers);
            let sid = words[2].to_owned();
            return Message { sid, headers: String::from_utf8(bytes).expect("text"), payload };
        }
    }

    /// Asks JetStream; panics where it refuses.
    pub fn ask(&mut self, what: &str, question: &Value) -> Value {
        // Right after its start it may not be there yet.
        let deadline = Instant::now() + ANSWER;
        loop {
            let text = question.to_string();
            let length = text.len();
            self.say(&format!("PUB $JS.API.{what} inbox.tests {length}\r\n{text}\r\n"));
            let message = self.message();
            if !message.headers.contains(" 503") {
                let answer: Value = serde_json::from_slice(&message.payload).expect("JSON");
                assert!(answer["error"].is_null(), "{what}: {answer}");
                return answer;
            }
            assert!(Instant::now() < deadline, "{what}: nobody answers");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Publishes a message of that id; returns what JetStream answers.
    pub fn publish(&mut self, subject: &str, id: &str, payload: &[u8]) -> Value {
        let head = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        let (headers, all) = (head.len(), head.len() + payload.len());
        self.say(&format!("HPUB {subject} inbox.tests {headers} {all}\r\n{head}"));
        self.to.write_all(&[payload, b"\r\n"].concat()).expect("the server reads");
        serde_json::from_slice(&self.message().payload).expect("JSON")
    }

    /// Makes a stream that takes one subject, with these settings beside.
    pub fn add_stream(&mut self, name: &str, subject: &str, more: &Value) {
        let mut settings = json!({"name": name, "subjects": [subject], "storage": "file",
            "retention": "limits", "discard": "old", "max_msgs": -1, "max_bytes": -1,
            "max_age": 0, "max_msg_size": -1, "max_consumers": -1, "num_replicas": 1});
        let all = settings.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        self.ask(&format!("STREAM.CREATE.{name}"), &settings);
    }

    /// How many messages a stream has.
    pub fn messages(&mut self, stream: &str) -> u64 {
        let answer = self.ask(&format!("STREAM.INFO.{stream}"), &json!({}));
        answer["state"]["messages"].as_u64().expect("a number")
    }

    /// Waits until a stream has so many messages, as long as more come; returns how many it
    /// has.
    pub fn wait_messages(&mut self, stream: &str, messages: u64) -> u64 {
        let (mut had, mut since) = (0, Instant::now());
        loop {
            let now = self.messages(stream);
            if now >= messages {
                return now;
            }
            if now > had {
                (had, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < 3 * ANSWER, "{stream} has {now} messages of {messages}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// All that a stream has, in parts that are asked for: a server lets go of a client that
    /// does not keep up with what is pushed to it.
    pub fn read(&mut self, stream: &str, mut each: impl FnMut(Message)) -> u64 {
        const PART: u64 = 1000;
        let all = self.messages(stream);
        let config = json!({"durable_name": "reader", "deliver_policy": "all",
            "ack_policy": "none", "replay_policy": "instant"});
        let consumer = json!({"stream_name": stream, "config": config});
        self.ask(&format!("CONSUMER.DURABLE.CREATE.{stream}.reader"), &consumer);
        self.say("SUB inbox.read 2\r\n");
        let mut read = 0;
        while read < all {
            let part = PART.min(all - read);
            let text = json!({"batch": part}).to_string();
            let (next, length) = (format!("CONSUMER.MSG.NEXT.{stream}.reader"), text.len());
            self.say(&format!("PUB $JS.API.{next} inbox.read {length}\r\n{text}\r\n"));
            for _ in 0..part {
                let message = self.message();
                assert_eq!(message.sid, "2", "nothing else was asked for");
                each(message);
            }
            read += part;
        }
        // Whoever reads next begins at the beginning, too.
        self.ask(&format!("CONSUMER.DELETE.{stream}.reader"), &json!({}));
        all
    }

    /// Writes what a stream has into a file, a line each; returns how many there are.
    pub fn read_into(&mut self, stream: &str, path: &Path) -> u64 {
        let mut file = BufWriter::new(fs::File::create(path).expect("our own folder"));
        let all = self.read(stream, |message| {
            file.write_all(&message.payload).expect("room");
            file.write_all(b"\n").expect("room");
        });
        file.flush().expect("room");
        all
    }
}
