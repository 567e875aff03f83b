//! A broker that knows nobody, for the mock cluster has no users: it answers ApiVersions,
//! SaslHandshake and SaslAuthenticate (Kafka protocol, versions 0 and 1) and no more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Starts it; its port. It goes on as long as the test's process.
pub fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port
}

fn serve(mut connection: TcpStream) {
    while let Some((key, version, id)) = request(&mut connection) {
        let mut answer = id;
        match (key, version) {
            (18, 0) => {
                answer.extend([0, 0, 0, 0, 0, 5]);
                // Produce, Metadata, SaslHandshake, ApiVersions, SaslAuthenticate.
                for (key, most) in [(0, 3), (3, 2), (17, 1), (18, 0), (36, 0)] {
                    answer.extend([0, key, 0, 0, 0, most]);
                }
            }
            // UNSUPPORTED_VERSION, and no keys.
            (18, _) => answer.extend([0, 35, 0, 0, 0, 0]),
            (17, _) => answer.extend(b"\0\0\0\0\0\x01\0\x05PLAIN"),
            // SASL_AUTHENTICATION_FAILED, why, and no bytes.
            (36, _) => answer.extend(b"\0\x3a\0\x0cnobody knows\0\0\0\0"),
            _ => return,
        }
        let length = u32::try_from(answer.len()).expect("a short answer");
        let answer = [&length.to_be_bytes()[..], &answer].concat();
        if connection.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Its key, its version, and what it is answered under.
fn request(connection: &mut TcpStream) -> Option<(u16, u16, Vec<u8>)> {
    let mut length = [0; 4];
    connection.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    connection.read_exact(&mut body).ok()?;
    let number = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    Some((number(0)?, number(2)?, body.get(4..8)?.to_vec()))
}
