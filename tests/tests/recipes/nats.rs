//! The files for NATS: a server with that configuration makes that stream, stores what is
//! sent again once, and takes long events.

use serde_json::{Value, json};
use tests::nats::Server;
use tests::stream::count;

use crate::recipe;

#[test]
fn nats_stores_once_what_is_sent_twice() {
    let server = Server::with("recipes nats", |port, folder| {
        let (port, folder) = (port.to_string(), folder.display().to_string());
        recipe("nats/server.conf", &[("4222", &port), ("/var/lib/nats", &folder)])
    });
    let Some(mut server) = server else { return };
    server.start();
    let mut client = server.client(&json!({}));
    let stream: Value = serde_json::from_str(&recipe("nats/stream.json", &[])).expect("JSON");
    let name = stream["name"].as_str().expect("a name");
    let made = client.ask(&format!("STREAM.CREATE.{name}"), &stream);
    for (field, value) in stream.as_object().expect("settings") {
        assert_eq!(&made["config"][field], value, "{field}");
    }
    let first = client.publish("tracer.events", "run-1", b"{}");
    let again = client.publish("tracer.events", "run-1", b"{}");
    assert_eq!((count(&first, "seq"), &first["duplicate"]), (1, &Value::Null), "{first}");
    assert_eq!((count(&again, "seq"), &again["duplicate"]), (1, &json!(true)), "{again}");
    let long = client.publish("tracer.events", "run-2", &vec![b'x'; 7 << 20]);
    assert_eq!(count(&long, "seq"), 2, "{long}");
}
