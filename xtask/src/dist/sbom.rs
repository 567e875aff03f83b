//! The bill of materials: what the shipped program is made of, as CycloneDX 1.6 in JSON.
//! A test holds it against the published schema.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{crates::Shipped, facts::Facts, licences, runtime::Part};
use crate::metadata::Crate;

/// The document; the same for the same program and lock file.
pub fn text(facts: &Facts, shipped: &Shipped, parts: &[Part], program: &[u8]) -> Result<String> {
    let own = shipped.own()?;
    let mut components = Vec::new();
    for it in shipped.crates.iter().filter(|it| it.id != own.id) {
        components.push(component(it, shipped)?);
    }
    components.extend(parts.iter().map(|part| {
        json!({
            "type": "library",
            "bom-ref": reference(part.name, &part.version),
            "name": part.name,
            "version": part.version,
            "licenses": [{"expression": part.license}],
            "purl": format!("pkg:generic/{}@{}", part.name, part.version),
            "externalReferences": [{"type": "vcs", "url": part.url}],
        })
    }));
    let names: BTreeMap<_, _> =
        shipped.crates.iter().map(|it| (&it.id, reference(&it.name, &it.version))).collect();
    let mut dependencies: Vec<_> = shipped
        .crates
        .iter()
        .map(|it| {
            let taken = shipped.takes.get(&it.id).into_iter().flatten();
            let mut taken: Vec<_> = taken.filter_map(|id| names.get(id)).cloned().collect();
            if it.id == own.id {
                taken.extend(parts.iter().map(|part| reference(part.name, &part.version)));
                // The kernel programs are built apart, and embedded.
                let inside = shipped.crates.iter().find(|it| it.name == "tracer-ebpf");
                taken.extend(inside.map(|it| reference(&it.name, &it.version)));
            }
            taken.sort();
            taken.dedup();
            json!({"ref": names[&it.id], "dependsOn": taken})
        })
        .collect();
    dependencies.sort_by_key(|it| it["ref"].to_string());
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": jiff::Timestamp::from_second(i64::try_from(facts.time)?)?.to_string(),
            "component": {
                "type": "application",
                "bom-ref": reference(&own.name, &own.version),
                "name": own.name,
                "version": own.version,
                "description": facts.summary,
                "licenses": [{"expression": licences::expression(own)?}],
                "purl": format!("pkg:generic/{}@{}", own.name, own.version),
                "hashes": [{"alg": "SHA-256", "content": hex(&Sha256::digest(program))}],
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let number = serial(&Sha256::digest(document.to_string()));
    document["serialNumber"] = Value::from(number);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn reference(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

fn component(it: &Crate, shipped: &Shipped) -> Result<Value> {
    let key = (it.name.clone(), it.version.clone());
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(&it.name, &it.version),
        "name": it.name,
        "version": it.version,
        "licenses": [{"expression": licences::expression(it)?}],
        "purl": format!("pkg:cargo/{}@{}", it.name, it.version),
    });
    if let Some(description) = &it.description {
        component["description"] = Value::from(description.trim());
    }
    if let Some(sum) = shipped.sums.get(&key) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    if let Some(url) = &it.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": url}]);
    }
    Ok(component)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A UUID out of a digest rather than by chance: version 8 of RFC 9562.
fn serial(digest: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_out_of_a_digest() {
        assert_eq!(serial(&[0xff; 32]), "urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff");
    }
}
