//! A run's files: their octets, and what they add up to.

use super::*;
use crate::ledger::{Discrepancy, LineResult, Unmatched, unmatched_lines};
use crate::units::{ActivationId, FixedNumber, Money, Msisdn};
use jiff::Timestamp;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn item(kind: BillItemKind, held_at: &str, list: i32) -> BillItem {
    let sign = if kind == BillItemKind::Activation { 1 } else { -1 };
    BillItem {
        kind,
        activation: ActivationId::new(at(held_at), [7; 10]),
        held_at: at(held_at),
        member: Msisdn::parse("0672123456").unwrap(),
        package: format!("Super {list}").parse().unwrap(),
        list: Money::from_lek(sign * list),
        discount: Money::from_lek(sign * 200),
        net: Money::from_lek(sign * (list - 200)),
    }
}

fn run() -> BillRun {
    let month = "2026-10".parse().unwrap();
    let line = |contract, items| bill_line(FixedNumber::parse(contract).unwrap(), month, items).unwrap();
    let reversal = BillItemKind::Reversal { reason: "mistake, \"twice\" <keyed>".to_owned() };
    BillRun {
        sequence: 3,
        month,
        closed_at: at("2026-11-03T08:00:00Z"),
        lines: vec![
            line(
                "042250928",
                vec![
                    item(BillItemKind::Activation, "2026-10-24T21:59:59Z", 700),
                    // After the clocks went back, and within October in Tirane.
                    item(BillItemKind::Activation, "2026-10-31T22:59:59Z", 1300),
                ],
            ),
            line("042250929", vec![item(reversal, "2026-10-02T10:00:00Z", 700)]),
        ],
    }
}

#[test]
fn what_is_not_accepted_is_listed_with_its_age() {
    let run = run();
    let contract = |index: usize| run.lines[index].contract.clone();
    let unmatched =
        |answers: &[(FixedNumber, LineResult)]| unmatched_lines(&run, &answers.iter().cloned().collect());
    let (sequence, month, since) = (3, run.month, run.closed_at);
    let listed = unmatched(&[(contract(0), LineResult::Accepted)]);
    let missing = Unmatched::Unanswered { sequence, month, contract: contract(1) };
    assert_eq!(listed, [Discrepancy { unmatched: missing, since }]);
    assert_eq!(listed[0].age(at("2026-11-04T09:00:00Z")), jiff::SignedDuration::from_hours(25));
    let reason = "no such account".to_owned();
    let listed = unmatched(&[
        (contract(0), LineResult::Rejected { reason: reason.clone() }),
        (contract(1), LineResult::Accepted),
    ]);
    let rejected = Unmatched::Rejected { sequence, month, contract: contract(0), reason };
    assert_eq!(listed, [Discrepancy { unmatched: rejected, since }]);
    assert_eq!(run.file_stem(), "klikon-bill-000003-2026-10");
}

#[test]
fn a_run_adds_up() {
    let totals = run().totals().unwrap();
    assert_eq!((totals.contracts, totals.activations, totals.reversals), (2, 2, 1));
    assert_eq!(totals.gross, Money::from_lek(500 + 1100 - 500));
    assert_eq!(totals.list.checked_sub(totals.discount), Some(totals.gross));
    assert_eq!(totals.base.checked_add(totals.vat), Some(totals.gross));
}

#[test]
fn the_csv_is_one_table_that_ends_with_the_total() {
    let run = run();
    let csv = String::from_utf8(run.to_csv(&run.totals().unwrap())).unwrap();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], COLUMNS.join(","));
    assert_eq!(lines[1], "contract,3,2026-10,042250928,2,,,,,,,,1600.00,1333.33,266.67,0.0033,");
    assert!(
        lines[2]
            .contains(",activation,2026-10-24T23:59:59+02:00,+355672123456,Super 700,700.00,200.00,500.00,")
    );
    assert!(lines[3].contains(",2026-10-31T23:59:59+01:00,"));
    assert!(lines[5].ends_with(",-700.00,-200.00,-500.00,,,,\"mistake, \"\"twice\"\" <keyed>\""));
    assert_eq!(lines[6], "total,3,2026-10,,2,,,,,,1300.00,200.00,1100.00,916.66,183.34,,");
    assert_eq!(lines[7..], [""]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.records().map(|row| row.unwrap().len()).collect::<Vec<_>>(), [COLUMNS.len(); 6]);
}

/// A reason that a spreadsheet would compute is marked, the same at each export, and can be read back.
#[test]
fn a_reason_is_no_formula_in_a_spreadsheet() {
    let reasons = [
        ("=HYPERLINK(\"http://x\")", true),
        ("+1", true),
        ("-1", true),
        ("@SUM(A1)", true),
        ("＝1", true),
        ("\tx", true),
        ("\rx", true),
        ("\n=x", true),
        ("'=1", true),
        ("wrong = member", false),
        ("", false),
    ];
    for (reason, marked) in reasons {
        let mut run = run();
        run.lines[1].items[0].kind = BillItemKind::Reversal { reason: reason.to_owned() };
        let csv = run.to_csv(&run.totals().unwrap());
        assert_eq!(csv, run.to_csv(&run.totals().unwrap()));
        let mut reader = csv::Reader::from_reader(&*csv);
        let cells: Vec<String> =
            reader.records().map(|row| row.unwrap()[COLUMNS.len() - 1].to_owned()).collect();
        let cell = cells.iter().find(|cell| !cell.is_empty()).map_or("", String::as_str);
        assert_eq!(cell.starts_with('\''), marked, "{cell:?}");
        assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), reason, "one mark off gives the reason");
        assert_eq!(run.to_tmf678(&run.totals().unwrap()), run.to_tmf678(&run.totals().unwrap()));
        let file = "sequence,contract,result,reason\n3,042250929,rejected,=no account\n";
        let read = run.acknowledged(file.as_bytes()).unwrap();
        let rejected = LineResult::Rejected { reason: "=no account".to_owned() };
        assert_eq!(read.results.into_values().collect::<Vec<_>>(), [rejected]);
    }
}

#[test]
fn the_json_has_bills_and_their_rates_in_exact_amounts() {
    let run = run();
    let octets = run.to_tmf678(&run.totals().unwrap());
    let file: serde_json::Value = serde_json::from_slice(&octets).unwrap();
    let bill = &file["customerBill"][0];
    assert_eq!(bill["id"], "000003-042250928");
    assert_eq!(bill["taxExcludedAmount"]["value"].to_string(), "1333.33");
    assert_eq!(bill["taxItem"][0]["taxAmount"]["value"].to_string(), "266.67");
    assert_eq!(bill["billingPeriod"]["startDateTime"], "2026-10-01T00:00:00+02:00");
    assert_eq!(bill["billingPeriod"]["endDateTime"], "2026-11-01T00:00:00+01:00");
    let rates = file["appliedCustomerBillingRate"].as_array().unwrap();
    assert_eq!((rates.len(), rates[2]["type"].as_str()), (3, Some("appliedBillingCredit")));
    assert_eq!(rates[2]["taxIncludedAmount"]["value"].to_string(), "-500.0");
    assert_eq!(rates[2]["bill"]["id"], file["customerBill"][1]["id"]);
    assert_eq!(octets, run.to_tmf678(&run.totals().unwrap()));
}

#[test]
fn the_statement_is_a_page_of_its_own_that_trusts_no_text() {
    let run = run();
    let statement = |line| Statement {
        line,
        limit: Money::from_lek(6500),
        closed: true,
        addressee: Some("Emër <b>Mbiemër"),
    };
    let page = statement(&run.lines[0]).to_html();
    for part in [
        "Klik-ON, tetor 2026",
        "<p>Emër &lt;b&gt;Mbiemër</p>",
        "042250928",
        "0672123456",
        "1\u{a0}600\u{a0}lekë",
        "<svg",
        "6\u{a0}500\u{a0}lekë",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // 500 at the end of the 24th day and 1,100 at the end of the last of a month with an hour more, to 6,500 at 36.
    for drawn in [
        "<path d=\"M24.0 156.0 H512.6 V146.8 H656.0 V126.5 H656.0\"/>",
        "<line class=\"limit\" x1=\"24\" x2=\"656\" y1=\"36.0\" y2=\"36.0\"/><text x=\"24\" y=\"32.0\">",
        "<line class=\"axis\" x1=\"24\" x2=\"656\" y1=\"156\" y2=\"156\"/><text x=\"24.0\" y=\"174\">1.10<",
        "<text x=\"166.5\" y=\"174\">8.10<",
    ] {
        assert!(page.contains(drawn), "{drawn}: {page}");
    }
    assert!(!page.contains("nuk është mbyllur") && !page.contains("http"));
    let page = statement(&run.lines[1]).to_html();
    assert!(page.contains("kthim: mistake, &quot;twice&quot; &lt;keyed&gt;"), "{page}");
}

#[test]
fn an_acknowledgement_says_what_became_of_each_line() {
    let run = run();
    let file =
        "sequence,contract,result,reason\n3,042250928,accepted,\n3,042250929,rejected,no such account\n";
    let read = run.acknowledged(file.as_bytes()).unwrap();
    assert_eq!(read.results.len(), 2);
    assert!(read.missing.is_empty());
    let gap = run.acknowledged(b"sequence,contract,result,reason\n3,042250929,accepted,\n").unwrap();
    assert_eq!(gap.missing, [FixedNumber::parse("042250928").unwrap()]);
    for (rows, said) in [
        ("2,042250928,accepted,", "line 2: sequence `2` is not this run's, 3"),
        ("3,042250777,accepted,", "line 2: the run has no line for contract `042250777`"),
        (
            "3,042250928,accepted,\n3,042250928,accepted,",
            "line 3: contract 042250928 stands in an earlier line too",
        ),
        ("3,042250928,rejected,", "line 2: result `rejected` with reason ``"),
        ("3,042250928,accepted,but", "line 2: result `accepted` with reason `but`"),
        ("3,042250928,accepted", "line 2: CSV error"),
    ] {
        let error = run.acknowledged(format!("sequence,contract,result,reason\n{rows}\n").as_bytes());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let error = run.acknowledged(b"contract,result\n").unwrap_err().to_string();
    assert!(error.contains("expected `sequence,contract,result,reason`"), "{error}");
}

proptest! {
    #[test]
    fn no_octets_of_an_acknowledgement_are_a_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = run().acknowledged(&octets);
    }

    #[test]
    fn amounts_in_json_are_the_decimal_that_they_were(qindarka in -100_000_000_000i64..100_000_000_000) {
        let mut run = run();
        run.lines.truncate(1);
        run.lines[0].total = VatSplit::of(Money::from_qindarka(qindarka));
        let file = run.to_tmf678(&run.totals().unwrap());
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        let written: rust_decimal::Decimal = file["customerBill"][0]["amountDue"]["value"].to_string().parse().unwrap();
        prop_assert_eq!(Money::try_from(written), Ok(Money::from_qindarka(qindarka)));
    }
}
