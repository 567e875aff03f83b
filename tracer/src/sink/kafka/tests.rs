//! Settings, and librdkafka's mock cluster, which is no broker but speaks like one.

use std::os::fd::AsFd;

use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::sink::{Caller, Destination};

fn parsed(text: &str) -> KafkaTopic {
    match Destination::parse(text).unwrap() {
        Destination::Kafka(spec) => spec,
        other => panic!("{other}"),
    }
}

fn chunk(lines: &[String]) -> Chunk {
    let mut chunk = Chunk::default();
    for (seq, line) in (0..).zip(lines) {
        chunk.bytes.extend_from_slice(line.as_bytes());
        chunk.bytes.push(b'\n');
        chunk.end_line(seq, (seq != 0).then_some(Caller { cpu: 0, pid: 7 }));
    }
    chunk
}

fn numbers(count: usize) -> Chunk {
    chunk(&(0..count).map(|number| number.to_string()).collect::<Vec<_>>())
}

#[test]
fn settings_are_looked_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kafka.properties");
    std::fs::write(&file, "# ours\nsasl.password = a=secret\nacks.x\n").unwrap();
    let opened = |options: &str| match Kafka::open(&parsed(&format!("kafka:b:9092/t?{options}"))) {
        Ok(kafka) => Ok(kafka.config),
        Err(error) => Err(error.to_string()),
    };
    let config = format!("config={}", file.display());
    let error = opened(&config).unwrap_err();
    assert!(error.ends_with("kafka.properties: line 3 is no setting: name=value"), "{error}");
    std::fs::write(&file, "# ours\nsasl.password = a=secret\nlinger.ms=7\n").unwrap();
    let config = opened(&format!("{config}&linger.ms=9")).unwrap();
    let set = ["sasl.password", "linger.ms", "acks"].map(|name| config.get(name));
    assert_eq!(set, [Some("a=secret"), Some("9"), Some("all")]);
    for (options, says) in [
        ("no.such=1", "No such configuration property: \"no.such\""),
        ("linger.ms=soon", "linger.ms"),
        ("ssl.key.location=/nowhere/key", "/nowhere/key: No such file"),
    ] {
        let error = opened(options).unwrap_err();
        assert!(error.contains(says), "{options}: {error}");
    }
}

#[test]
fn slips_are_named_and_secrets_are_not() {
    for (text, says) in [
        ("kafka:topic", "BROKER[,BROKER…]/TOPIC"),
        ("kafka:a,,b/topic", "BROKER[,BROKER…]/TOPIC"),
        ("kafka:a/to pic", "letters, digits"),
        ("kafka:a/t?key=cpu", "one of none, pid, run"),
        ("kafka:a/t?acks=1", "unknown option acks: there are key, config"),
        ("kafka:a/t?enable.idempotence=false", "not for setting here"),
        ("kafka:a/t?a.b=1&a.b=2", "given twice"),
    ] {
        let error = Destination::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    let secret = Destination::parse("kafka:a,b:1/t?sasl.password=secret").unwrap();
    assert!(!format!("{secret:?} {secret}").contains("secret"));
    assert_eq!(secret.to_string(), "kafka:a,b:1/t");
    let error = Destination::parse("kafka:a/t?sasl.password=secret%2").unwrap_err();
    assert!(!error.contains("secret") && error.contains("sasl.password"), "{error}");
}

/// What arrived out of turn before it was told to give up is not settled: what lies before it
/// would be taken for settled, too.
#[test]
fn lines_are_settled_from_the_first_one_on() {
    let chunk = numbers(5);
    let mut lines = Lines::new(&chunk);
    for (at, how) in [(0, Settled::Arrived), (1, Settled::Refused), (3, Settled::Arrived)] {
        lines.settle(at, how);
    }
    let delivery = lines.delivery(&chunk, Err(Halt::Quit));
    assert_eq!((delivery.whole, delivery.refused), (4, vec![4]));
    assert_eq!(lines.left, 2);
}

/// Errors that a broker answers with.
const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;
const NOT_ENOUGH_REPLICAS: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
const TOO_LARGE: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
const OUT_OF_STEP: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
const DENIED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;

/// What passes is got over, all down and up again, and what does not pass ends it.
#[test]
fn errors_of_brokers() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 3, 1).unwrap();
    let spec = format!("kafka:{}/t?key=pid&retry.backoff.ms=10", cluster.bootstrap_servers());
    let mut kafka = Kafka::open(&parsed(&spec)).unwrap();
    let chunk = numbers(1000);
    let mut sent = || {
        let delivery = kafka.deliver(&chunk, None);
        (delivery.whole == chunk.bytes.len(), delivery.refused, delivery.result.is_ok())
    };
    assert_eq!(sent(), (true, vec![], true));
    cluster.request_errors(PRODUCE, &[NOT_ENOUGH_REPLICAS; 3]);
    assert_eq!(sent(), (true, vec![], true));
    cluster.request_errors(PRODUCE, &[TOO_LARGE]);
    assert_eq!(sent(), (true, vec![], true), "one by one all fit");
    cluster.broker_down(1).unwrap();
    let (down, all) = std::thread::scope(|scope| {
        let sending = scope.spawn(&mut sent);
        std::thread::sleep(Duration::from_millis(500));
        let down = !sending.is_finished();
        cluster.broker_up(1).unwrap();
        (down, sending.join().unwrap())
    });
    assert!(down, "it waits");
    assert_eq!(all, (true, vec![], true));
    cluster.request_errors(PRODUCE, &[OUT_OF_STEP]);
    assert_eq!(sent(), (true, vec![], true), "with another producer");
    cluster.request_errors(PRODUCE, &[DENIED; 8]);
    let delivery = kafka.deliver(&chunk, None);
    let Err(Halt::Failed(error)) = delivery.result else { panic!("it goes on") };
    assert!(error.to_string().contains("Topic authorization failed"), "{error}");
}

/// A line that is longer than may be is refused, and those beside it are not.
#[test]
fn a_line_that_is_too_long() {
    let cluster = MockCluster::new(1).unwrap();
    let spec = format!("kafka:{}/t?message.max.bytes=2000", cluster.bootstrap_servers());
    let mut kafka = Kafka::open(&parsed(&spec)).unwrap();
    let lines = ["short".to_owned(), "long".repeat(1000), "short".to_owned()];
    let chunk = chunk(&lines);
    let delivery = kafka.deliver(&chunk, None);
    assert!(delivery.result.is_ok());
    assert_eq!((delivery.whole, delivery.refused), (chunk.bytes.len(), vec![6 + 4001]));
}

/// Brokers that are not there keep nobody from giving up.
#[test]
fn nobody_is_there() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut kafka = Kafka::open(&parsed(&format!("kafka:{nobody}/t"))).unwrap();
    let quit = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let moved = std::sync::atomic::AtomicU64::new(0);
    let leash = Leash { moved: &moved, quit: quit.as_fd(), retries: &moved };
    let chunk = numbers(10);
    let delivery = std::thread::scope(|scope| {
        let sending = scope.spawn(|| kafka.deliver(&chunk, Some(&leash)));
        std::thread::sleep(Duration::from_millis(300));
        rustix::io::write(&quit, &1u64.to_ne_bytes()).unwrap();
        sending.join().unwrap()
    });
    assert!(matches!(delivery.result, Err(Halt::Quit)), "{:?}", delivery.result);
    assert_eq!(delivery.whole, 0);
}
