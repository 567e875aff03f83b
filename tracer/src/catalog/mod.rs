//! What there is to know without tracing anything: `tracer list` says what can be
//! traced, `tracer doctor` whether it can be traced here, `tracer schema` what comes of it.

pub mod docs;
pub mod doctor;
pub mod list;
pub mod schema;

use anstyle::Style;

/// Text in a style, where colours are wanted.
fn styled(color: bool, style: Style, text: &str) -> String {
    if color && style != Style::new() {
        format!("{}{text}{}", style.render(), style.render_reset())
    } else {
        text.to_owned()
    }
}
