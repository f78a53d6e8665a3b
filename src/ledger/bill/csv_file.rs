//! A run as CSV (RFC 4180): one table with a header, in which a row is a contract, one of its items, or the total.

use super::{BillItem, BillItemKind, BillLine, BillRun, ControlTotals};
use crate::units::{Money, Month};

/// The columns, for every kind of row; what a row has nothing to say for is empty. Amounts are Lek with two decimals,
/// the rounding with four.
pub const COLUMNS: [&str; 17] = [
    "record",
    "sequence",
    "month",
    "contract",
    "count",
    "id",
    "kind",
    "confirmed_at",
    "member",
    "package",
    "list_lek",
    "discount_lek",
    "gross_lek",
    "base_lek",
    "vat_lek",
    "vat_rounding_lek",
    "reason",
];

/// Lek with two decimals.
pub(super) fn lek(money: Money) -> String {
    format!("{:.2}", money.lek())
}

/// The instant in Tirane, to the second: `2026-10-31T23:59:59+01:00`.
pub(super) fn local(instant: jiff::Timestamp) -> String {
    instant.to_zoned(Month::time_zone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A text of people's, so that a spreadsheet shows it instead of computing it: where its first character would begin a
/// formula, and where that is the mark itself, the mark `'` stands before it. Whoever reads the file takes one off.
fn not_computed(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r' | '\n' | '\'') => {
            format!("'{text}")
        }
        _ => text.to_owned(),
    }
}

impl BillRun {
    /// The file's octets. The last row is the `total`; a file without it is cut.
    pub fn to_csv(&self, totals: &ControlTotals) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let mut put = |row: [String; COLUMNS.len()]| {
            // Into memory, with as many fields as the header: neither can fail.
            let _ = writer.write_record(row);
        };
        put(COLUMNS.map(str::to_owned));
        for line in &self.lines {
            put(self.contract_row(line));
            for item in &line.items {
                put(self.item_row(line, item));
            }
        }
        put(self.total_row(totals));
        writer.into_inner().unwrap_or_default()
    }

    fn row(&self, record: &str) -> [String; COLUMNS.len()] {
        let mut row: [String; COLUMNS.len()] = Default::default();
        row[0] = record.to_owned();
        row[1] = self.sequence.to_string();
        row[2] = self.month.to_string();
        row
    }

    fn contract_row(&self, line: &BillLine) -> [String; COLUMNS.len()] {
        let mut row = self.row("contract");
        row[3] = line.contract.to_string();
        row[4] = line.items.len().to_string();
        row[12] = lek(line.total.gross);
        row[13] = lek(line.total.base);
        row[14] = lek(line.total.vat);
        row[15] = format!("{:.4}", line.total.rounding);
        row
    }

    fn item_row(&self, line: &BillLine, item: &BillItem) -> [String; COLUMNS.len()] {
        let mut row = self.row("item");
        row[3] = line.contract.to_string();
        row[5] = item.activation.to_string();
        row[7] = local(item.held_at);
        row[8] = item.member.e164();
        row[9] = item.package.to_string();
        row[10] = lek(item.list);
        row[11] = lek(item.discount);
        row[12] = lek(item.net);
        row[6] = match &item.kind {
            BillItemKind::Activation => "activation".to_owned(),
            BillItemKind::Reversal { reason } => {
                row[16] = not_computed(reason);
                "reversal".to_owned()
            }
        };
        row
    }

    fn total_row(&self, totals: &ControlTotals) -> [String; COLUMNS.len()] {
        let mut row = self.row("total");
        row[4] = totals.contracts.to_string();
        row[10] = lek(totals.list);
        row[11] = lek(totals.discount);
        row[12] = lek(totals.gross);
        row[13] = lek(totals.base);
        row[14] = lek(totals.vat);
        row
    }
}
