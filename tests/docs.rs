//! The tables of `docs/` that say what is shown by which test: the tests are there, and no counted refusal is left out.

use klikon::sip::Counter;
use std::path::Path;

fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The tests and cases that `document` names; those that do not exist are wrong.
fn check_named(document: &str) {
    let text = read(document);
    let mut tests = 0;
    for name in quoted(&text) {
        if let Some((file, test)) = name.split_once("::").filter(|(file, _)| file.ends_with(".rs")) {
            let code = read(file);
            assert!(code.contains(&format!("fn {test}(")), "{document}: no test `{test}` in {file}");
            tests += 1;
        } else if name.starts_with("sip-tests/") && name != "sip-tests/" {
            read(&format!("{name}/case.toml"));
            tests += 1;
        }
    }
    assert!(tests > 20, "{document} names only {tests} tests");
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.contains(" shown by |")) {
        assert!(
            row.contains(".rs::") || row.contains("`sip-tests/"),
            "{document}: a row without a test: {row}"
        );
    }
}

#[test]
fn every_test_that_a_table_names_exists() {
    check_named("docs/field-traps.md");
    check_named("docs/sip-refusals.md");
}

#[test]
fn every_counted_refusal_stands_in_the_table() {
    let text = read("docs/sip-refusals.md");
    for name in Counter::ALL.iter().map(|counter| counter.name()) {
        if name.starts_with("refused_") || name.starts_with("rejected_") {
            assert!(text.contains(&format!("`{name}`")), "`{name}` is missing");
        }
    }
}
