//! Control messages as the kernel writes them, and as it never would.

use serde_json::{Value, json};
use tracer_common::record::Status;

use super::*;

/// One control message in the layout of an ABI, padded.
fn cmsg(abi: Abi, level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let layout = Layout::of(abi);
    let mut bytes = (layout.header + data.len()).to_le_bytes()[..layout.len].to_vec();
    bytes.extend(level.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(layout.align), 0);
    bytes
}

fn shown(abi: Abi, bytes: &[u8], full: usize) -> Value {
    let part = Part { status: Status::Read, bytes, full: u64::try_from(full).unwrap() };
    serde_json::to_value(decode(&part, abi).0).unwrap()
}

fn ints(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn both_layouts() {
    for abi in [Abi::X86_64, Abi::I386] {
        let bytes = [
            cmsg(abi, 1, 1, &ints(&[3, 4, 5])),
            cmsg(abi, 1, 2, &ints(&[77, 1000, 1001])),
            cmsg(abi, 0, 1, &[0x10]),
            cmsg(abi, 0, 2, &ints(&[64])),
            cmsg(abi, 1, 29, &ints(&[9, 8])),
            cmsg(abi, 1, 63, &ints(&[9, 0, 8, 0])),
            cmsg(abi, 1, 37, &ints(&[1, 2, 0, 0, 0, 0])),
            cmsg(abi, 17, 104, &ints(&[1400])),
            cmsg(abi, 99, 98, b"\x01\xff"),
        ]
        .concat();
        let expected = json!([
            {"level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": [3, 4, 5]},
            {"level": "SOL_SOCKET", "type": "SCM_CREDENTIALS", "pid": 77, "uid": 1000, "gid": 1001},
            {"level": "SOL_IP", "type": "IP_TOS", "tos": 16},
            {"level": "SOL_IP", "type": "IP_TTL", "ttl": 64},
            {"level": "SOL_SOCKET", "type": "SO_TIMESTAMP", "sec": 9, "usec": 8},
            {"level": "SOL_SOCKET", "type": "SO_TIMESTAMP_NEW", "sec": 9, "usec": 8},
            {"level": "SOL_SOCKET", "type": "SO_TIMESTAMPING",
             "software": {"sec": 1, "nsec": 2}, "hardware": null},
            {"level": "SOL_UDP", "type": "UDP_GRO", "segment_size": 1400},
            {"level": 99, "type": 98, "hex": "01ff"},
        ]);
        assert_eq!(shown(abi, &bytes, bytes.len()), expected, "{abi:?}");
    }
}

#[test]
fn errors_and_addresses() {
    let inet = [&[2, 0, 0x12, 0x34, 10, 0, 0, 1][..], &[0; 8]].concat();
    let error = [&ints(&[111])[..], &[2, 3, 3, 0], &ints(&[7, 8]), &inet].concat();
    let local = [&ints(&[90])[..], &[1, 0, 0, 0], &ints(&[1500, 0]), &[0; 16]].concat();
    let bytes = [
        cmsg(Abi::X86_64, 0, 11, &error),
        cmsg(Abi::X86_64, 0, 11, &local),
        cmsg(Abi::X86_64, 0, 20, &inet),
        cmsg(Abi::X86_64, 41, 50, &[&[0; 15][..], &[1], &ints(&[3])].concat()),
    ]
    .concat();
    let place = json!({"family": "AF_INET", "ip": "10.0.0.1", "port": 0x1234});
    let expected = json!([
        {"level": "SOL_IP", "type": "IP_RECVERR",
         "error": {"name": "ECONNREFUSED", "errno": 111}, "origin": "SO_EE_ORIGIN_ICMP",
         "ee_type": 3, "ee_code": 3, "info": 7, "data": 8, "offender": place},
        {"level": "SOL_IP", "type": "IP_RECVERR",
         "error": {"name": "EMSGSIZE", "errno": 90}, "origin": "SO_EE_ORIGIN_LOCAL",
         "ee_type": 0, "ee_code": 0, "info": 1500, "data": 0, "offender": null},
        {"level": "SOL_IP", "type": "IP_ORIGDSTADDR", "addr": place},
        {"level": "SOL_IPV6", "type": "IPV6_PKTINFO", "addr": "::1", "ifindex": 3},
    ]);
    assert_eq!(shown(Abi::X86_64, &bytes, bytes.len()), expected);
}

#[test]
fn what_can_not_be_parsed_is_shown_in_hex() {
    let abi = Abi::X86_64;
    let with_len = |len: u64| [&len.to_le_bytes()[..], &ints(&[0, 2, 64])].concat();
    let ttl = |note: &str| json!([{"level": "SOL_IP", "type": "IP_TTL", "hex": "40000000", "note": note}]);
    for len in [0, 15, 21, u64::MAX, u64::MAX - 6] {
        assert_eq!(shown(abi, &with_len(len), 20), ttl("bad_length"), "cmsg_len {len}");
    }
    assert_eq!(shown(abi, &with_len(24), 24), ttl("not_captured"));
    let short = [&18u64.to_le_bytes()[..], &ints(&[0, 2]), &[1, 2]].concat();
    let expected =
        json!([{"level": "SOL_IP", "type": "IP_TTL", "hex": "0102", "note": "unexpected_length"}]);
    assert_eq!(shown(abi, &short, 18), expected);
    assert_eq!(shown(abi, &[1, 2, 3], 3), json!([{"hex": "010203", "note": "bad_length"}]));
    let rights = [&100u64.to_le_bytes()[..], &ints(&[1, 1, 7, 8])].concat();
    let expected = json!([{"level": "SOL_SOCKET", "type": "SCM_RIGHTS", "fds": [7, 8],
                           "note": "not_captured"}]);
    assert_eq!(shown(abi, &rights, 104), expected);
}
