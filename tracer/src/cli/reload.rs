//! SIGHUP: reads the configuration again, and has filters and destinations changed while
//! tracing goes on. What can't be changed so is refused, and then nothing is.
//!
//! Files are read and destinations opened by a thread of its own: neither may keep the rings
//! waiting. What that thread hands over can be put in place at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use clap::ArgMatches;
use tracer_common::registry::Event;

use super::{
    args::{Format, Trace},
    config::{Loaded, Sources, differences},
    diagnostics, output,
    signals::Wakers,
    trace,
};
use crate::{
    event::RunId,
    filter::pushdown::{Divided, divide_for_daemon},
    pipeline::{Change, Slot},
    sink::{Destination, Reach, Spool},
};

/// Options that select calls, and may change.
const SELECTS: &[&str] =
    &["event", "pid", "tid", "ppid", "uid", "comm", "exe", "container", "filter"];
/// Options of destinations, which may change.
const WRITES: &[&str] = &["write", "output"];

/// Why something can't be had any more.
const GIVEN_UP: &str = "the tracer has given up rights since it was attached (docs/SERVICE.md); \
                        restart it where it lacks them";

/// What reading again takes.
pub struct Reloader {
    /// Where options come from.
    pub sources: Sources,
    /// The options of the start.
    pub start: ArgMatches,
    /// Those in force.
    pub now: ArgMatches,
    /// The filters of the start, some of them the kernel's.
    pub divided: Divided,
    /// The events that the programs are attached for.
    pub events: Vec<&'static Event>,
    /// The destinations, in their order.
    pub writes: Vec<(Format, Destination)>,
    /// This run.
    pub run: RunId,
    /// Where destinations that may be away have their spools.
    pub spool: Option<Spool>,
    /// Wakes the thread that drains.
    pub wakers: Wakers,
    /// What can be reached since rights were given up, unless it is all.
    pub granted: Option<Reach>,
}

/// What is in force, or what becomes of the attempt to change it.
pub enum Reload {
    /// There is no configuration file.
    Never,
    /// Nothing is under way.
    Idle(Arc<Mutex<Reloader>>),
    /// It is being read.
    UnderWay(UnderWay),
}

/// A configuration that is being read.
pub struct UnderWay {
    reloader: Arc<Mutex<Reloader>>,
    thread: JoinHandle<Result<Change, String>>,
    /// It was asked for once more since.
    again: bool,
}

impl Reload {
    /// With a configuration file.
    pub fn new(reloader: Reloader) -> Self {
        Self::Idle(Arc::new(Mutex::new(reloader)))
    }

    /// Reads the configuration again, after what is under way.
    pub fn ask(&mut self) {
        let reloader = match self {
            Self::Never => return,
            Self::UnderWay(under_way) => return under_way.again = true,
            Self::Idle(reloader) => Arc::clone(reloader),
        };
        let own = Arc::clone(&reloader);
        let run = move || {
            let mut reloader = own.lock().unwrap_or_else(PoisonError::into_inner);
            let change = reloader.change();
            reloader.wakers.wake();
            change
        };
        match thread::Builder::new().name("tracer-reload".to_owned()).spawn(run) {
            Ok(thread) => *self = Self::UnderWay(UnderWay { reloader, thread, again: false }),
            Err(error) => refused(&format!("no thread: {error}")),
        }
    }

    /// Whether something is under way.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay(_))
    }

    /// What has come of it, once it is known; a refusal is said.
    pub fn take(&mut self) -> Option<Change> {
        let Self::UnderWay(UnderWay { thread, .. }) = self else { return None };
        if !thread.is_finished() {
            return None;
        }
        let Self::UnderWay(UnderWay { reloader, thread, again }) =
            std::mem::replace(self, Self::Never)
        else {
            return None;
        };
        *self = Self::Idle(reloader);
        let change = thread.join().unwrap_or_else(|_| Err("it failed".to_owned()));
        if again {
            self.ask();
        }
        change.map_err(|why| refused(&why)).ok()
    }
}

fn refused(why: &str) {
    diagnostics::say(format_args!("reload refused, all goes on as before: {why}"));
}

impl Reloader {
    /// What is to be changed; the options that were read are those in force from now on.
    fn change(&mut self) -> Result<Change, String> {
        let loaded = self.sources.load(|name| std::env::var_os(name));
        let Loaded { cli, matches, .. } = loaded.map_err(|error| error.brief())?;
        let options = &cli.trace;
        let differing = differences(&self.now, &matches);
        let may_change = |name: &String| [SELECTS, WRITES].concat().contains(&name.as_str());
        let fixed: Vec<_> = differing.iter().filter(|name| !may_change(name)).cloned().collect();
        if !fixed.is_empty() {
            let fixed = fixed.join(", ");
            return Err(format!("{fixed} can't be changed while tracing; restart the tracer"));
        }
        trace::check(options).map_err(|failure| failure.to_string())?;
        let selects: Vec<_> =
            differing.iter().filter(|name| SELECTS.contains(&name.as_str())).cloned().collect();
        let mut change =
            Change { filter: None, events: None, outputs: Vec::new(), changes: vec![] };
        if !selects.is_empty() {
            change.changes.push(format!("other filters: {}", selects.join(", ")));
            self.select(options, &matches, &mut change)?;
        }
        let writes = output::writes(&options.output);
        change.outputs = self.outputs(options, &writes, &mut change.changes)?;
        self.writes = writes;
        self.now = matches;
        Ok(change)
    }

    /// The filters, if the kernel's let all of it pass.
    fn select(
        &self,
        options: &Trace,
        matches: &ArgMatches,
        change: &mut Change,
    ) -> Result<(), String> {
        let events = trace::events(options);
        let lacking =
            events.iter().filter(|event| !self.events.iter().any(|known| known.id == event.id));
        let lacking: Vec<_> = lacking.map(|event| event.name).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            return Err(format!(
                "event: {lacking} is not among what the tracer was attached for; restart it"
            ));
        }
        let divided = trace::divide(options).map_err(|failure| failure.to_string())?;
        self.divided.covers(&divided).map_err(|wider| {
            format!(
                "{wider}: the kernel's filters are those of the start, and leave out calls that \
                 would be asked for; restart the tracer, or have it started with filter-in = \
                 \"daemon\""
            )
        })?;
        let since_start = differences(&self.start, matches);
        let same = !since_start.iter().any(|name| SELECTS.contains(&name.as_str()));
        change.filter = Some(if same {
            self.divided.user.clone()
        } else {
            let criteria = trace::criteria(options).map_err(|failure| failure.to_string())?;
            divide_for_daemon(criteria, trace::follows(options)).user
        });
        change.events = Some(events);
        Ok(())
    }

    /// Opens the destinations that are new.
    fn outputs(
        &mut self,
        options: &Trace,
        writes: &[(Format, Destination)],
        changes: &mut Vec<String>,
    ) -> Result<Vec<Slot>, String> {
        let mut old: BTreeMap<usize, &(Format, Destination)> =
            self.writes.iter().enumerate().collect();
        let mut slots = Vec::new();
        for write in writes {
            let found = old.iter().find(|(_, old)| **old == write).map(|(at, _)| *at);
            if let Some(at) = found {
                old.remove(&at);
                slots.push(Slot::Kept(at));
                continue;
            }
            let (format, destination) = write;
            if !options.command.is_empty() && *destination == Destination::Stdout {
                return Err("standard output is COMMAND's".to_owned());
            }
            if let Some(granted) = &self.granted
                && !granted.covers(&Reach::of(destination))
            {
                return Err(format!("{destination} is out of reach: {GIVEN_UP}"));
            }
            let open = output::open_one(
                (*format, destination),
                options.output.color,
                self.run,
                self.spool.as_mut(),
            );
            let queued = open.and_then(|mut output| {
                output.sink.prepare();
                trace::queued(output, options, &self.wakers)
            });
            let output = queued.map_err(|failure| match &self.granted {
                Some(_) => format!("{failure} ({GIVEN_UP})"),
                None => failure.to_string(),
            })?;
            slots.push(Slot::New(Box::new(output)));
            changes.push(format!("writes to {destination} from here on"));
        }
        changes.extend(old.values().map(|(_, left)| format!("no longer writes to {left}")));
        Ok(slots)
    }
}
