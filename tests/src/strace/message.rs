//! One message: `{msg_hdr={…}, msg_len=…}`.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::control;
use super::told::{Result, Told, fields, named_flags, number};
use super::value::{Field, Value};

/// Says a message in the words of events.
pub fn tell(told: &mut Told, value: &Value) -> Result<Json> {
    let [header, len] = fields(value, ["msg_hdr", "msg_len"])?;
    let Value::Struct(all) = &header.value else {
        return Err(format!("a header, not {:?}", header.value));
    };
    let mut list = all.iter();
    let mut next = |name: &str| match list.next() {
        Some(field) if field.name == name => Ok(field),
        other => Err(format!("{name}, not {other:?}")),
    };
    let name = next("msg_name")?;
    let namelen = next("msg_namelen")?;
    let iov = next("msg_iov")?;
    let iovlen = next("msg_iovlen")?;
    let control = match all.iter().find(|field| field.name == "msg_control") {
        Some(_) => Some(next("msg_control")?),
        None => None,
    };
    let controllen = next("msg_controllen")?;
    let flags = next("msg_flags")?;
    if let Some(more) = list.next() {
        return Err(format!("no more of a header than {more:?}"));
    }

    let before = number(&namelen.value)?;
    let after = namelen.after.as_ref().map_or(Ok(before), number)?;
    told.note("control-room");
    let mut message = json!({
        "len": number(&len.value)?,
        "namelen": {"in": before, "out": after},
        "iovlen": number(&iovlen.value)?,
        "flags": named_flags(&flags.value)?,
        "control": {"len_out": number(&controllen.value)?},
    });
    if before < 2 && matches!(name.value, Value::Number(_, _)) && after > 0 {
        told.note("no-room-for-name");
    } else {
        message["name"] = source(told, &name.value, after)?;
    }
    buffers(told, &mut message, iov)?;
    message["control"]["items"] = match control {
        Some(Field { value: Value::List(list), .. }) => {
            list.iter().map(|item| control::tell(told, item)).collect::<Result<Vec<_>>>()?.into()
        }
        Some(Field { value: Value::Number(_, _), .. }) => {
            told.note("vanished");
            Json::Null
        }
        Some(other) => return Err(format!("control messages, not {other:?}")),
        None if number(&controllen.value)? == 0 => json!([]),
        None => return Err("no control messages although there are some".to_owned()),
    };
    Ok(message)
}

/// The lengths of the buffers, and what lies in them.
fn buffers(told: &mut Told, message: &mut Json, iov: &Field) -> Result<()> {
    let list = match &iov.value {
        Value::List(list) => list,
        Value::Number(_, _) => {
            told.note("vanished");
            message["iov"] = Json::Null;
            return Ok(());
        }
        other => return Err(format!("iovecs, not {other:?}")),
    };
    let (mut lens, mut payload) = (Vec::new(), Some(Vec::new()));
    for item in list {
        let [base, len] = fields(item, ["iov_base", "iov_len"])?;
        lens.push(json!({"len": number(&len.value)?}));
        match &base.value {
            Value::Bytes(bytes, false) => {
                told.note("buffer-address");
                payload = payload.map(|so_far: Vec<u8>| [so_far, bytes.clone()].concat());
            }
            Value::Number(_, _) => {
                told.note("unreadable-buffer");
                payload = None;
            }
            // Taken apart as messages of netlink.
            Value::List(_) | Value::Struct(_) => {
                told.note("netlink");
                payload = None;
            }
            other => return Err(format!("a buffer, not {other:?}")),
        }
    }
    message["iov"] = lens.into();
    if let Some(bytes) = payload {
        message["payload"] = match str::from_utf8(&bytes) {
            Ok(text) => json!({"captured": bytes.len(), "text": text}),
            Err(_) => json!({"captured": bytes.len(), "base64": STANDARD.encode(bytes)}),
        };
    }
    Ok(())
}

/// The source address of a message, whose length the kernel reported.
fn source(told: &mut Told, value: &Value, len: i64) -> Result<Json> {
    match value {
        Value::Null => Ok(Json::Null),
        // The buffer's address, where the kernel wrote nothing into it.
        Value::Number(_, _) if len == 0 => Ok(Json::Null),
        Value::Number(_, _) => {
            told.note("vanished");
            Ok(Json::Null)
        }
        other => address(other),
    }
}

/// A socket address, as it is where all of it is there.
pub fn address(value: &Value) -> Result<Json> {
    let Value::Struct(all) = value else { return Err(format!("an address, not {value:?}")) };
    let names: Vec<_> = all.iter().map(|field| field.name.as_str()).collect();
    let family = match all.first() {
        Some(Field { value: Value::Number(number, Some(name)), .. }) => (*number, name.as_str()),
        other => return Err(format!("a family, not {other:?}")),
    };
    let at = |i: usize| bytes(&all[i].value);
    let port = |i: usize| -> Result<u16> { Ok(u16::from_be_bytes(sized(at(i)?)?)) };
    Ok(match (family.1, names[1..].iter().as_slice()) {
        ("AF_INET", ["sin_port", "sin_addr"]) => {
            let ip = Ipv4Addr::from(sized::<4>(at(2)?)?).to_string();
            json!({"family": "AF_INET", "port": port(1)?, "ip": ip})
        }
        ("AF_INET6", ["sin6_port", "sin6_flowinfo", "sin6_addr", "sin6_scope_id"]) => {
            let ip = Ipv6Addr::from(sized::<16>(at(3)?)?).to_string();
            json!({"family": "AF_INET6", "port": port(1)?, "ip": ip,
                   "flowinfo": u32::from_be_bytes(sized(at(2)?)?),
                   "scope_id": number(&all[4].value)?})
        }
        ("AF_UNIX", ["sun_path"]) => match &all[1].value {
            Value::Abstract(name) => json!({"family": "AF_UNIX", "abstract": text(name)}),
            other => json!({"family": "AF_UNIX", "path": text(bytes(other)?)}),
        },
        ("AF_NETLINK", ["nl_pid", "nl_groups"]) => {
            // Printed with a sign, which port ids have not.
            let pid = number(&all[1].value)? as u32;
            json!({"family": "AF_NETLINK", "pid": pid, "groups": number(&all[2].value)?})
        }
        // Cut before its end.
        (name, [] | ["sa_data"]) => {
            let number = u16::try_from(family.0).map_err(|error| error.to_string())?;
            let data = if all.len() > 1 { at(1)? } else { &[] };
            let raw = [&number.to_ne_bytes(), data].concat();
            let raw: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"family": name, "raw": raw})
        }
        _ => return Err(format!("an address, not {value:?}")),
    })
}

/// All the bytes of a string.
pub fn bytes(value: &Value) -> Result<&[u8]> {
    match value {
        Value::Bytes(bytes, false) => Ok(bytes),
        other => Err(format!("bytes, not {other:?}")),
    }
}

/// So many of them.
pub fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| format!("{N} bytes, not {bytes:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
