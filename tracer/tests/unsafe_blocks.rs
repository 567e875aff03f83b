//! `docs/UNSAFE.md`: how much of what is shipped is `unsafe`, by file. `cargo xtask docs`
//! (`UPDATE_GOLDEN=1` in the environment) writes it, so that more of it shows in a diff; and
//! every block says why it is sound.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The folders of what is shipped, from the workspace's root.
const SOURCES: [&str; 3] = ["tracer/src", "tracer-common/src", "tracer-ebpf/src"];
/// How far above a block its reason may begin, in lines.
const NEAR: usize = 12;

#[derive(Default)]
struct Count {
    blocks: usize,
    functions: usize,
    impls: usize,
}

/// What follows the word in a program's text, and its line, from 0.
#[derive(Debug, PartialEq)]
enum Unsafe {
    Block(usize),
    Function,
    Impl,
    /// `#[unsafe(no_mangle)]`, and types of functions.
    Other,
}

fn find(tokens: TokenStream, found: &mut Vec<Unsafe>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => find(group.stream(), found),
            TokenTree::Ident(word) if word == "unsafe" => found.push(match tokens.peek() {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    Unsafe::Block(word.span().start().line - 1)
                }
                Some(TokenTree::Ident(next)) if next == "fn" || next == "extern" => {
                    Unsafe::Function
                }
                Some(TokenTree::Ident(next)) if next == "impl" => Unsafe::Impl,
                _ => Unsafe::Other,
            }),
            _ => {}
        }
    }
}

fn in_text(text: &str) -> Vec<Unsafe> {
    let mut found = Vec::new();
    find(TokenStream::from_str(text).expect("Rust"), &mut found);
    found
}

/// A reason of its own, or one that its function gives for all of its body.
fn has_reason(lines: &[&str], block: usize) -> bool {
    let own = &lines[block.saturating_sub(NEAR)..=block];
    let function = lines[..block].iter().rev().take_while(|line| !line.contains("fn "));
    own.iter().any(|line| line.contains("SAFETY:"))
        || function.into_iter().any(|line| line.contains("SAFETY (whole body):"))
}

fn files(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, to);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push(path);
        }
    }
}

#[test]
fn all_unsafe_code_is_counted_and_has_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = Vec::new();
    SOURCES.iter().for_each(|folder| files(&root.join(folder), &mut paths));
    assert!(paths.len() > 100, "{}", paths.len());
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        for found in in_text(&text) {
            if found == Unsafe::Other {
                continue;
            }
            let count = counts.entry(name.clone()).or_default();
            match found {
                Unsafe::Block(line) => {
                    assert!(has_reason(&lines, line), "{name}:{}: no SAFETY line", line + 1);
                    count.blocks += 1;
                }
                Unsafe::Function => count.functions += 1,
                Unsafe::Impl => count.impls += 1,
                Unsafe::Other => {}
            }
        }
    }
    let mut table = "| file | blocks | functions | impls |\n|---|---|---|---|\n".to_owned();
    let mut all = Count::default();
    for (name, Count { blocks, functions, impls }) in &counts {
        table += &format!("| `{name}` | {blocks} | {functions} | {impls} |\n");
        all.blocks += blocks;
        all.functions += functions;
        all.impls += impls;
    }
    table += &format!("| all | {} | {} | {} |\n", all.blocks, all.functions, all.impls);
    hold(&root.join("tracer/docs/UNSAFE.md"), &table);
}

/// Holds the table in a file against what it should be, or writes it.
fn hold(path: &Path, right: &str) {
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- count -->\n").expect("the beginning");
    let (there, after) = rest.split_once("<!-- /count -->\n").expect("the end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let parts = [before, "<!-- count -->\n", right, "<!-- /count -->\n", after];
        fs::write(path, parts.concat()).unwrap();
    } else {
        assert_eq!(there, right, "docs/UNSAFE.md: run `cargo xtask docs`");
    }
}

#[test]
fn the_word_in_comments_and_texts_is_not_counted() {
    let text = "// unsafe { }\nfn f() { let _ = \"unsafe {\"; }\n\
        m!(unsafe { g() });\nunsafe fn h() {}\nunsafe impl S for T {}\n#[unsafe(no_mangle)]\n\
        fn i() {}\n";
    assert_eq!(in_text(text), [Unsafe::Block(2), Unsafe::Function, Unsafe::Impl, Unsafe::Other]);
    assert!(has_reason(&["// SAFETY: alone", "unsafe {"], 1));
    assert!(!has_reason(&["// because", "unsafe {"], 1));
    let body = "// SAFETY (whole body): its own";
    assert!(has_reason(&["fn f() {", body, "f();", "unsafe {"], 3));
    assert!(!has_reason(&["fn f() {", body, "fn g() {", "unsafe {"], 3));
}
