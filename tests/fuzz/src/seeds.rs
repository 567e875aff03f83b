//! What fuzzing begins with: the records of the golden recordings, and for each target
//! what it takes of them.

use tracer::{
    record,
    recording::{Frame, Reader},
};

use super::filter;

/// The records of these recordings.
pub fn records(recordings: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for recording in recordings {
        let mut reader = Reader::new(*recording).expect("a golden recording");
        while let Some(frame) = reader.next_frame().expect("a golden recording") {
            if let Frame::Record(_, record) = frame {
                records.push(record.to_vec());
            }
        }
    }
    records
}

/// The seeds of a target; none for a name that is none.
pub fn of(target: &str, recordings: &[&[u8]]) -> Vec<Vec<u8>> {
    match target {
        "record" | "decode" => records(recordings),
        "control" => records(recordings).iter().flat_map(|record| control(record)).collect(),
        "filter" => filter::examples(),
        "recording" => recordings.iter().map(|recording| recording.to_vec()).collect(),
        _ => Vec::new(),
    }
}

/// The control messages of a record.
fn control(bytes: &[u8]) -> Vec<Vec<u8>> {
    let messages = record::parse(bytes).ok().and_then(|record| record.messages);
    let parts = messages.and_then(|messages| messages.detail.control).unwrap_or_default();
    parts.iter().map(|part| part.bytes.to_vec()).filter(|bytes| !bytes.is_empty()).collect()
}
