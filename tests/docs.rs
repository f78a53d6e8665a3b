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

/// The tests and cases that `document` names are there; how many.
fn named(document: &str) -> usize {
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
    tests
}

/// The tests that `document` names are there, and no row of its tables is without one.
fn check_named(document: &str) {
    let (text, tests) = (read(document), named(document));
    assert!(tests > 20, "{document} names only {tests} tests");
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.contains(" shown by |")) {
        let names_a_test = row.contains(".rs::") || row.contains("`sip-tests/");
        // In a list of all demands some are honestly without one.
        let says_why_not = [" does not apply: ", " not shown"].iter().any(|reason| row.contains(reason));
        assert!(names_a_test || says_why_not, "{document}: a row without a test: {row}");
    }
}

#[test]
fn every_test_that_a_table_names_exists() {
    check_named("docs/field-traps.md");
    check_named("docs/sip-refusals.md");
    check_named("docs/sip-conformance.md");
    check_named("docs/etsi-ts-102-027-2.md");
    assert!(named("docs/ledger.md") > 12);
    assert!(named("docs/administration.md") > 10);
    assert!(named("docs/billing.md") > 6);
}

/// What the list of demands covers, so that no part of it gets lost.
#[test]
fn every_rfc_that_is_claimed_stands_in_the_list_of_demands() {
    let text = read("docs/sip-conformance.md");
    for rfc in [
        2198, 3261, 3262, 3263, 3264, 3311, 3325, 3326, 3327, 3581, 3891, 4028, 4733, 4867, 5118, 5626, 6026,
        7160, 7339, 7587, 8760,
    ] {
        assert!(text.contains(&format!("\n## RFC {rfc}: ")), "RFC {rfc} is missing");
    }
}

#[test]
fn every_purpose_that_has_a_test_stands_in_the_list_of_purposes() {
    let text = read("docs/etsi-ts-102-027-2.md");
    let mut tests = 0;
    for file in ["establishment", "release", "messages", "queries"] {
        let path = format!("src/sip/endpoint/tests/etsi/{file}.rs");
        let code = read(&path);
        for name in code.lines().filter_map(|line| line.strip_prefix("fn sip_")?.split('(').next()) {
            let purpose = format!("SIP_{}", name.to_ascii_uppercase());
            assert!(text.contains(&format!("`{path}::sip_{name}`")), "{purpose} is missing");
            assert!(text.contains(&format!("| {purpose}")), "{purpose} is missing");
            tests += 1;
        }
    }
    assert_eq!(tests, 108);
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
