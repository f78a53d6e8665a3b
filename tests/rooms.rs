//! The import rule between the rooms (`ARCHITECTURE.md`, "Rooms"): imports go down the table, never up or
//! sideways in a circle; and the sans-IO rooms hold no socket, file, clock, randomness or tokio.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → rooms it may import. `all` is everything.
const RULE: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("klikon", &["units"]),
    ("ledger", &["units", "klikon"]),
    ("sdp", &["units"]),
    ("sip", &["units", "sdp"]),
    ("media", &["units"]),
    ("dialplan", &["units"]),
    ("speech", &["units"]),
    ("store", &["units", "klikon", "ledger"]),
    ("net", &["units", "sip", "media"]),
    ("capture", &["units", "sip", "net"]),
    ("delivery", &["units", "klikon", "store"]),
    ("recording", &["units", "media"]),
    (
        "call",
        &[
            "units",
            "klikon",
            "ledger",
            "sdp",
            "sip",
            "media",
            "dialplan",
            "speech",
            "store",
            "net",
            "delivery",
            "recording",
        ],
    ),
];

/// Rooms without effects (invariant 1), and the words that would be effects.
const PURE: &[&str] = &["klikon", "ledger", "sdp", "sip", "dialplan"];
const EFFECTS: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::io::",
    "UdpSocket",
    "TcpStream",
    "std::thread",
    "SysRng",
    "rand::rng(",
    "units::clock",
    "failpoint",
    "mio::",
    "sqlx::",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The file without its comments and without its test module, which may use more.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs") || name.starts_with("test_")
    })
}

/// The rooms named in `crate::a::…` and `crate::{a, b::…}`.
fn imports(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (index, _) in code.match_indices("crate::") {
        let rest = &code[index + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(identifier(rest)),
            Some(group) => {
                let mut depth = 0_i32;
                let mut at_start = true;
                for (position, c) in group.char_indices() {
                    match c {
                        '}' if depth == 0 => break,
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        c if at_start && depth == 0 && !c.is_whitespace() => {
                            rooms.push(identifier(&group[position..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    RULE.iter()
        .map(|(room, _)| {
            let mut files = Vec::new();
            rust_files(&root.join(room), &mut files);
            assert!(!files.is_empty(), "no file in src/{room}");
            let with_code = files.into_iter().map(|path| {
                let code = code_of(&path);
                (path, code)
            });
            ((*room).to_owned(), with_code.collect())
        })
        .collect()
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let sources = sources();
    let mut broken = Vec::new();
    for (room, allowed) in RULE {
        for (path, code) in &sources[*room] {
            for import in imports(code) {
                if import != *room && !allowed.contains(&import.as_str()) {
                    broken.push(format!("{}: `{room}` may not import `{import}`", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pure_rooms_have_no_effects() {
    let sources = sources();
    let mut broken = Vec::new();
    for room in PURE {
        for (path, code) in &sources[*room] {
            if is_test_file(path) {
                continue;
            }
            for effect in EFFECTS.iter().filter(|effect| code.contains(**effect)) {
                broken.push(format!("{}: `{room}` holds an effect: {effect}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_what_it_should() {
    let code = "use crate::units::Money;\nuse crate::{sip::{message::Uri, Flow}, media};\nlet x = crate::net::udp::y();";
    assert_eq!(imports(code), ["units", "sip", "media", "net"]);
}
