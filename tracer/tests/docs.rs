//! What is in `docs/` and made from the code: the events, findings and fields of filters from
//! their tables, the schemas from the types. `cargo xtask docs` (`UPDATE_GOLDEN=1` in the environment)
//! writes it, to be read in the diff.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tracer::{
    catalog::{docs, schema},
    filter::expr::field::{FIELDS, Type},
};

/// Holds a file against what it should be, or writes it.
fn check(file: &str, right: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, right).unwrap();
        return;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let lines = there.lines().zip(right.lines()).enumerate();
    let differs = lines.into_iter().find(|(_, (there, right))| there != right);
    if let Some((i, (there, right))) = differs {
        panic!("docs/{file}:{}: run `cargo xtask docs`\n- {there}\n+ {right}", i + 1);
    }
    assert_eq!(there.len(), right.len(), "docs/{file}: run `cargo xtask docs`");
}

fn pretty(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}

#[test]
fn events_are_those_of_the_registry() {
    check("EVENTS.md", &docs::events());
}

/// The same of what lies in a file between `<!-- mark -->` and `<!-- /mark -->`.
fn check_part(file: &str, mark: &str, right: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let text = fs::read_to_string(path).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the beginning");
    let (_, after) = rest.split_once(&end).expect("the end");
    check(file, &[before, &begin, right, &end, after].concat());
}

#[test]
fn findings_are_those_of_the_code() {
    check_part("EVENT.md", "findings", &docs::findings());
}

#[test]
fn filters_have_every_field() {
    let mut table = "| field | type | |\n|---|---|---|\n".to_owned();
    for field in FIELDS.iter() {
        let many = match (field.many, field.nullable) {
            (true, _) => "any number",
            (false, true) => "may be null",
            (false, false) => "",
        };
        let most = match field.ty {
            Type::ShortText(most) => format!(", at most {most} bytes"),
            _ => String::new(),
        };
        table += &format!("| `{}` | {}{most} | {many} |\n", field.path, field.ty.name());
    }
    check_part("FILTER.md", "fields", &table);
}

#[test]
fn schemas_are_those_of_the_types() {
    check("schema/event-1.json", &pretty(&schema::event()));
    check("schema/health-1.json", &pretty(&schema::health()));
}
