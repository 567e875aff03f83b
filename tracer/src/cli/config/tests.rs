use std::{fs, path::Path};

use super::{keys::*, *};

/// A folder with these files, the first of which is named.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load_with(
    folder: &Path,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<Loaded, LoadError> {
    let config = folder.join("tracer.toml").display().to_string();
    let line: Vec<_> =
        ["tracer", "--config", &config].iter().chain(flags).map(OsString::from).collect();
    Sources::new(line).load(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    })
}

fn says(text: &str) -> String {
    let folder = folder(&[("tracer.toml", text)]);
    let error = load_with(folder.path(), &[], &[]).err().expect("it is refused").brief();
    error.replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn flags_are_over_the_environment_and_that_is_over_files() {
    let folder = folder(&[
        ("tracer.toml", "messages = 3\nqueue = \"1M\"\nrings = 2\nuid = [1, \"!2\"]\n"),
        ("conf.d/10.toml", "queue = \"2M\"\nuid = [5]"),
        ("conf.d/20.toml", "rings = 4"),
    ]);
    let loaded = load_with(folder.path(), &[], &[]).unwrap();
    let trace = &loaded.cli.trace;
    assert_eq!((trace.capture.messages, trace.queue), (3, 2 << 20));
    assert_eq!(trace.capture.rings, Some(4));
    assert_eq!(trace.select.uid.iter().map(|uid| uid.value).collect::<Vec<_>>(), [5]);

    let variables = [("TRACER_MESSAGES", "5"), ("TRACER_QUEUE", "3M"), ("TRACER_UID", "7\n8,9")];
    let loaded = load_with(folder.path(), &["--queue", "4M"], &variables).unwrap();
    let trace = &loaded.cli.trace;
    assert_eq!((trace.capture.messages, trace.queue), (5, 4 << 20));
    assert_eq!(trace.select.uid.iter().map(|uid| uid.value).collect::<Vec<_>>(), [7, 8, 9]);
}

#[test]
fn a_file_is_read_only_where_one_is_asked_for() {
    let load = |line: &[&str], variables: &[(&str, &str)]| {
        Sources::new(line.iter().map(OsString::from)).load(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    };
    let loaded = load(&["tracer", "-n", "3"], &[]).unwrap();
    assert_eq!((loaded.file, loaded.cli.trace.capture.count), (None, Some(3)));
    let folder = folder(&[("tracer.toml", "messages = 3")]);
    let file = folder.path().join("tracer.toml").display().to_string();
    let loaded = load(&["tracer"], &[("TRACER_CONFIG", &file)]).unwrap();
    assert_eq!(loaded.cli.trace.capture.messages, 3);
    // Other subcommands have nothing to do with it.
    assert!(load(&["tracer", "list"], &[("TRACER_CONFIG", "/none")]).is_ok());
    assert!(load(&["tracer"], &[("TRACER_CONFIG", "/none")]).is_err());
}

#[test]
fn what_excludes_another_is_overridden_with_it() {
    let folder =
        folder(&[("tracer.toml", "quiet = true"), ("conf.d/1.toml", "log-level = 'info'")]);
    let loaded = load_with(folder.path(), &[], &[]).unwrap();
    assert!(!loaded.cli.trace.output.quiet);
    let loaded = load_with(folder.path(), &["-q"], &[]).unwrap();
    assert_eq!((loaded.cli.trace.output.quiet, loaded.cli.trace.output.log_level), (true, None));
    assert!(says("quiet = true\nlog-level = 'info'").contains("cannot be used with"));
}

#[test]
fn values_have_the_shapes_of_their_options() {
    let text = "event = ['recvmmsg']\nfilter = ['ret < 0', \"args.vlen > 0x10\"]\n\
                pid = -0\nduration = 1.5\nredact = false\nverbose = 2\nmessages = 1_0\n\
                write = ['-', 'json=file:/tmp/x?size=1M']\n";
    let folder = folder(&[("tracer.toml", &text.replace("pid = -0\n", "pid = '!4'\n"))]);
    let trace = load_with(folder.path(), &[], &[]).unwrap().cli.trace;
    assert_eq!(trace.select.events.len(), 1);
    assert_eq!((trace.select.filter.len(), trace.output.write.len()), (2, 2));
    assert_eq!((trace.output.verbose, trace.capture.messages), (2, 10));
    assert!(trace.select.pid[0].negated);
    assert_eq!(trace.capture.duration, Some(std::time::Duration::from_millis(1500)));
    // Nothing at all is the default, whatever was before.
    let folder = self::folder(&[
        ("tracer.toml", "filter = 'ret < 0'\nredact = true"),
        ("conf.d/1.toml", "filter = []\nredact = false"),
    ]);
    let trace = load_with(folder.path(), &[], &[]).unwrap().cli.trace;
    assert!(trace.select.filter.is_empty() && !trace.capture.redact);
}

#[test]
fn slips_are_named_with_their_place() {
    for (text, expected) in [
        ("mesages = 3", "/tracer.toml:1: mesages: no such key; did you mean messages?"),
        ("\n\non_full = 'drop'", "/tracer.toml:3: on_full: no such key; did you mean on-full?"),
        ("qqqq = 1", "/tracer.toml:1: qqqq: no such key; keys are the long options"),
        ("command = 'sh'", "/tracer.toml:1: command: no such key"),
        ("config = '/x'", "/tracer.toml:1: config: a file can't name others"),
        ("[trace]\nqueue = '1M'", "/tracer.toml:1: trace: no such key"),
        ("event = 'recvmsg'", "/tracer.toml:1: event: invalid value 'recvmsg'"),
        ("event = 'recvmsg'", "did you mean recvmmsg?"),
        ("# a\nqueue = '1K'", "/tracer.toml:2: queue: invalid value '1K'"),
        ("detail = 'ful'", "[possible values: call, messages, full]"),
        ("detail = ['call']", "/tracer.toml:1: detail: takes a text or a number, not an array"),
        ("redact = 'yes'", "/tracer.toml:1: redact: takes true or false, not a string"),
        ("verbose = 200", "takes a number up to 9"),
        ("filter = ['ret <']", "/tracer.toml:1: filter: invalid value 'ret <'"),
        ("write = ['fifo:/x']", "/tracer.toml:1: write: invalid value 'fifo:/x'"),
        ("uid = [[1]]", "takes a text or a number, not an array"),
        ("uid = 1\nuid = 2", "/tracer.toml:2: duplicate key"),
        ("uid = ", "/tracer.toml:1: "),
        ("spool-size = '1G'", "--spool <DIR> (with what is set at /tracer.toml:1)"),
        ("comm = \"a\\u0000b\"", "holds a NUL"),
    ] {
        let said = says(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let folder = folder(&[("tracer.toml", "")]);
    let error = load_with(folder.path(), &[], &[("TRACER_HOOK", "x")]).err().unwrap().brief();
    assert!(error.starts_with("TRACER_HOOK: hook: invalid value 'x'"), "{error}");
}

#[test]
fn what_is_made_to_take_memory_or_time_is_refused() {
    for text in ["uid = ".to_owned() + &"[".repeat(100_000), "a.".repeat(100_000) + "a = 1"] {
        let start = std::time::Instant::now();
        assert!(says(&text).len() < 1000);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
    let many = |values| format!("uid = [{}]", "1,".repeat(values));
    assert!(says(&many(120_000)).contains("takes 4096 values at most"));
    let folder = folder(&[("tracer.toml", &many(4096))]);
    let loaded = load_with(folder.path(), &[], &[]);
    assert!(loaded.is_ok_and(|loaded| loaded.cli.trace.select.uid.len() == 4096));
}

#[test]
fn what_differs_is_named() {
    let load = |text: &str| {
        let folder = folder(&[("tracer.toml", text)]);
        load_with(folder.path(), &[], &[]).unwrap().matches
    };
    let old = load("uid = [1]\nverbose = 1");
    let config = |names: &[&str]| {
        // The two are in folders of their own.
        let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        names.push("config".to_owned());
        names
    };
    assert_eq!(differences(&old, &load("verbose = 1\nuid = '1'")), config(&[]));
    let mut named = differences(&old, &load("uid = [2]\nredact = false\nqueue = '65536K'"));
    named.sort();
    let mut expected = config(&["uid", "queue", "verbose"]);
    expected.sort();
    assert_eq!(named, expected);
}

/// The file that is shipped says what is traced and where to, and shows all other options with
/// their defaults.
#[cfg(feature = "metrics")]
#[test]
fn the_file_that_is_shipped_shows_every_option() {
    let text = include_str!("../../../service/tracer.toml");
    let keys = Keys::new(Cli::command());
    let layer = |text: &str| {
        let folder = folder(&[("tracer.toml", text)]);
        let texts = file::read(&folder.path().join("tracer.toml")).unwrap();
        keys.of_file(&texts[0]).unwrap()
    };
    let set = layer(text);
    assert_eq!(set.keys().collect::<Vec<_>>(), ["event", "write"]);
    let example = |line: &str| !line.is_empty() && !line.starts_with([' ', '#']);
    let shown = text.lines().filter_map(|line| line.strip_prefix('#'));
    let shown: String = shown.filter(|line| example(line)).flat_map(|line| [line, "\n"]).collect();
    let shown = layer(&shown);
    for (key, arg) in keys.all().filter(|(key, _)| !set.contains_key(*key)) {
        let given = shown.get(key).unwrap_or_else(|| panic!("{key} is not in the file"));
        let defaults = arg.get_default_values().iter().map(|value| value.to_str());
        let defaults: Vec<_> = defaults.collect();
        if matches!(shape(arg), Shape::Switch | Shape::Count) {
            assert!(given.args.is_empty(), "{key}");
        } else if !defaults.is_empty() {
            let values: Vec<_> = given.values.iter().map(|value| Some(value.as_str())).collect();
            assert_eq!(values, defaults, "{key}");
        }
    }
}
