//! Target `filter`: any text as an expression of `--filter`. What is accepted is held
//! against real events, and means the same when it is read again as it is shown.

use std::sync::LazyLock;

use tracer::{
    event::Event,
    filter::expr::{Expression, field::FIELDS},
};

use super::{record, seeds};

/// One event of each shape that there is.
static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let records = seeds::records(&[
        include_bytes!("../../../tracer/tests/golden/kinds.rec"),
        include_bytes!("../../../tracer/tests/golden/detail-control.rec"),
        include_bytes!("../../../tracer/tests/golden/time32.rec"),
        include_bytes!("../../../tracer/tests/golden/started-before-attach.rec"),
    ]);
    let parsed = records
        .iter()
        .filter_map(|bytes| Some(record::shown(&tracer::record::parse(bytes).ok()?, bytes.len())));
    parsed.collect()
});

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let expression = match Expression::new(text) {
        Ok(expression) => expression,
        Err(error) => {
            let at = &error.problem.at;
            assert!(text.get(at.clone()).is_some(), "{at:?} is no part of {text:?}");
            let shown = error.to_string();
            assert_eq!(shown.lines().count(), 3, "{shown:?}");
            assert!(shown.lines().all(|line| !line.contains(char::is_control)), "{shown:?}");
            return;
        }
    };
    assert!(!EVENTS.is_empty(), "there are golden events");
    for event in EVENTS.iter() {
        let all = expression.holds(event);
        let each = expression.0.iter().all(|conjunct| conjunct.condition.holds(event));
        assert_eq!(all, each);
    }
    for conjunct in &expression.0 {
        let again = Expression::new(&conjunct.text)
            .unwrap_or_else(|error| panic!("{:?} of {text:?}: {error}", conjunct.text));
        let [same] = again.0.as_slice() else { panic!("{:?} is several", conjunct.text) };
        assert_eq!(same.condition, conjunct.condition, "{:?} of {text:?}", conjunct.text);
        assert_eq!(same.text, conjunct.text, "of {text:?}");
    }
}

/// Expressions to begin with: every field, and every construct of the grammar.
pub fn examples() -> Vec<Vec<u8>> {
    let fields = FIELDS.iter().map(|field| format!("{} != null", field.path));
    let constructs = [
        "args.vlen > 16 && ret < 0",
        "ret < args.vlen && latency_ns > 5ms",
        r#"messages.name.ip in "10.0.0.0/8" || messages.name.ip == "::1""#,
        r#""MSG_TRUNC" in messages.flags.names"#,
        r#"error.name in ("EFAULT", "EBADF") || args.timeout == null"#,
        r#"process.comm ~ "nginx*" && !(process.uid == 0)"#,
        r#"process.exe ~ '/usr/{bin,sbin}/[a-z]?*'"#,
        r#"args.flags & 0x40 != 0 && time > "2026-01-01T00:00:00Z""#,
        "socket.nonblocking == true && args.timeout.requested <= 1.5s",
        "args.msgvec >= 0xffff || -1 == ret",
    ];
    fields.chain(constructs.map(str::to_owned)).map(String::into_bytes).collect()
}
