//! A real program: a UDP server that answers batches, under a load on another CPU.

use std::time::Instant;

use anyhow::Result;

use super::{
    Suite,
    peers::PEERS,
    report::Row,
    stats::{Pairs, Spread},
    watcher::{Run, Watcher},
};

/// Requests that each client keeps under way.
const WINDOW: &str = "16";

/// Requests a second with nobody watching and under each tracer.
pub fn measure(suite: &mut Suite) -> Result<()> {
    let details = ["call", "messages", "full"].map(|detail| ["--detail", detail]);
    let ours = details.iter().map(|options| {
        let [_, detail] = options;
        (format!("tracer --detail {detail}"), Watcher::Tracer(options))
    });
    let theirs = PEERS.iter().map(|peer| (peer.name.to_owned(), Watcher::Peer(peer)));
    let clients = suite.bench.other.to_string();
    let millis = (4 * suite.millis).to_string();
    let load = ["echo", "--messages", WINDOW, "--clients-cpu", &clients, "--millis", &millis];
    for (name, watcher) in ours.chain(theirs) {
        let mut pairs = Pairs::default();
        let deadline = suite.deadline(details.len() + PEERS.len());
        for round in 0..suite.rounds {
            if round > 0 && Instant::now() > deadline {
                break;
            }
            let bare = rate(&suite.bench.run(Watcher::Nobody, &load)?)?;
            match suite.bench.run(watcher, &load) {
                Ok(run) => pairs.0.push((bare, rate(&run)?)),
                // Why is said where the peers are measured.
                Err(_) if matches!(watcher, Watcher::Peer(_)) => break,
                Err(error) => return Err(error),
            }
        }
        let Some(value) = Spread::of(pairs.0.iter().map(|(_, watched)| *watched)) else {
            suite.report.skip(format!("echo server under {name}"), "it can't be used here");
            continue;
        };
        let lost = pairs.lost_percent();
        let note = lost.map_or_else(String::new, |lost| {
            format!("{:.1} % less ({:.1} … {:.1})", lost.median, lost.low, lost.high)
        });
        suite.report.row(Row {
            section: "UDP echo server, requests per second".to_owned(),
            what: name,
            unit: "/s".to_owned(),
            bare: pairs.bare(),
            value,
            note,
        });
    }
    Ok(())
}

fn rate(run: &Run) -> Result<f64> {
    Ok(run.figure("requests")? / run.figure("seconds")?)
}
