//! One control message: `{cmsg_len=…, cmsg_level=…, cmsg_type=…[, cmsg_data=…]}`.

use std::net::Ipv4Addr;

use serde_json::{Value as Json, json};

use super::message::{address, bytes, sized};
use super::told::{Result, Told, fields, number};
use super::value::Value;

/// Types that strace 6.1 has no names for, by the headers that the C library has.
const UNNAMED: [(&str, i128, &str); 9] = [
    ("SOL_SOCKET", libc::SO_PRIORITY as i128, "SO_PRIORITY"),
    ("SOL_SOCKET", libc::SO_MARK as i128, "SO_MARK"),
    ("SOL_SOCKET", libc::SO_RXQ_OVFL as i128, "SO_RXQ_OVFL"),
    ("SOL_IPV6", libc::IPV6_RECVERR as i128, "IPV6_RECVERR"),
    ("SOL_IPV6", libc::IPV6_PKTINFO as i128, "IPV6_PKTINFO"),
    ("SOL_IPV6", libc::IPV6_HOPLIMIT as i128, "IPV6_HOPLIMIT"),
    ("SOL_IPV6", libc::IPV6_TCLASS as i128, "IPV6_TCLASS"),
    ("SOL_IPV6", libc::IPV6_RECVORIGDSTADDR as i128, "IPV6_ORIGDSTADDR"),
    ("SOL_UDP", libc::UDP_GRO as i128, "UDP_GRO"),
];

/// Origins of errors, which strace prints as numbers.
const ORIGINS: [(u8, &str); 3] = [
    (libc::SO_EE_ORIGIN_LOCAL, "SO_EE_ORIGIN_LOCAL"),
    (libc::SO_EE_ORIGIN_ICMP, "SO_EE_ORIGIN_ICMP"),
    (libc::SO_EE_ORIGIN_ICMP6, "SO_EE_ORIGIN_ICMP6"),
];

/// Says a control message in the words of events.
pub fn tell(told: &mut Told, value: &Value) -> Result<Json> {
    let Value::Struct(all) = value else {
        return Err(format!("a control message, not {value:?}"));
    };
    let data = all.get(3).map(|field| &field.value);
    let header: Vec<_> = all.iter().take(3).cloned().collect();
    let header = Value::Struct(header);
    let [_len, level, kind] = fields(&header, ["cmsg_len", "cmsg_level", "cmsg_type"])?;
    if all.get(3).is_some_and(|field| field.name != "cmsg_data") || all.len() > 4 {
        return Err(format!("data of a control message, not {all:?}"));
    }
    let Value::Number(_, Some(level)) = &level.value else {
        return Err(format!("a level with a name, not {level:?}"));
    };
    let (number, name) = match &kind.value {
        Value::Number(number, name) => (*number, name.as_deref().filter(|name| *name != "SCM_???")),
        other => return Err(format!("a type, not {other:?}")),
    };
    let name = match name {
        Some(name) => name,
        None => {
            told.note("unnamed-control");
            let row = UNNAMED.iter().find(|(of, known, _)| of == level && *known == number);
            row.map(|(.., name)| *name).ok_or(format!("no name for type {number} of {level}"))?
        }
    };
    let mut item = json!({});
    match data {
        None => told.note("unnamed-control"),
        Some(Value::Unknown) => told.note("cut-control"),
        Some(data) => item = content(name, data)?,
    }
    item["level"] = json!(level);
    item["type"] = json!(name);
    Ok(item)
}

fn content(name: &str, data: &Value) -> Result<Json> {
    Ok(match name {
        "SO_TIMESTAMP_OLD" | "SO_TIMESTAMP_NEW" => time(data, "tv_usec", "usec")?,
        "SO_TIMESTAMPNS_OLD" | "SO_TIMESTAMPNS_NEW" => time(data, "tv_nsec", "nsec")?,
        "SO_TIMESTAMPING_OLD" | "SO_TIMESTAMPING_NEW" => {
            let Value::List(times) = data else { return Err(format!("times, not {data:?}")) };
            let [software, _legacy, hardware] = times.as_slice() else {
                return Err(format!("three times, not {times:?}"));
            };
            let taken = |value: &Value| -> Result<Json> {
                let time = time(value, "tv_nsec", "nsec")?;
                Ok(if time == json!({"sec": 0, "nsec": 0}) { Json::Null } else { time })
            };
            json!({"software": taken(software)?, "hardware": taken(hardware)?})
        }
        "SCM_RIGHTS" => json!({"fds": numbers(data)?}),
        "SCM_CREDENTIALS" => {
            let [pid, uid, gid] = fields(data, ["pid", "uid", "gid"])?;
            let number = |field: &super::value::Field| number(&field.value);
            json!({"pid": number(pid)?, "uid": number(uid)?, "gid": number(gid)?})
        }
        "IP_TTL" => json!({"ttl": one(data)?}),
        "IP_TOS" => json!({"tos": one(data)?}),
        "IP_PKTINFO" => {
            let [ifindex, spec_dst, addr] =
                fields(data, ["ipi_ifindex", "ipi_spec_dst", "ipi_addr"])?;
            let ip = |value: &Value| -> Result<String> {
                Ok(Ipv4Addr::from(sized::<4>(bytes(value)?)?).to_string())
            };
            json!({"ifindex": number(&ifindex.value)?, "spec_dst": ip(&spec_dst.value)?,
                   "addr": ip(&addr.value)?})
        }
        "IP_ORIGDSTADDR" => json!({"addr": address(data)?}),
        "IP_RECVERR" => extended_error(data)?,
        _ => return Err(format!("no data of {name}, but {data:?}")),
    })
}

fn extended_error(data: &Value) -> Result<Json> {
    let [errno, origin, kind, code, info, more, offender] = fields(
        data,
        ["ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data", "offender"],
    )?;
    let origin = number(&origin.value)?;
    let name = ORIGINS.iter().find(|(known, _)| i64::from(*known) == origin);
    let name = name.map(|(_, name)| *name).ok_or(format!("no name for origin {origin}"))?;
    Ok(json!({
        "error": {"errno": number(&errno.value)?},
        "origin": name,
        "ee_type": number(&kind.value)?,
        "ee_code": number(&code.value)?,
        "info": number(&info.value)?,
        "data": number(&more.value)?,
        "offender": address(&offender.value)?,
    }))
}

fn time(value: &Value, fraction: &str, ours: &str) -> Result<Json> {
    let [sec, fraction] = fields(value, ["tv_sec", fraction])?;
    let mut time = json!({"sec": number(&sec.value)?});
    time[ours] = json!(number(&fraction.value)?);
    Ok(time)
}

fn numbers(value: &Value) -> Result<Vec<i64>> {
    match value {
        Value::List(list) => list.iter().map(number).collect(),
        other => Err(format!("numbers, not {other:?}")),
    }
}

fn one(value: &Value) -> Result<i64> {
    match numbers(value)?.as_slice() {
        [one] => Ok(*one),
        other => Err(format!("one number, not {other:?}")),
    }
}
