//! `klikon admin import`: a CSV file of members or of packages, whole or not at all.

use super::{Answer, parse};
use crate::klikon::PackageName;
use crate::store::{Actor, ActorError, AdminError, GrantChannel, ImportRow, NewPackage, Store};
use crate::units::{FixedNumber, Msisdn};
use anyhow::{Context, bail};
use csv::StringRecord;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

/// Larger files are to be split.
const FILE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

const MEMBER_COLUMNS: [&str; 6] = ["contract", "msisdn", "role", "granted_by", "channel", "declaration"];
const PACKAGE_COLUMNS: [&str; 5] = ["package", "list_price", "valid_from", "valid_until", "announced_on"];

/// One thing that is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    line: u64,
    column: &'static str,
    value: String,
    mend: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}, `{}`: {}", self.line, self.column, self.value, self.mend)
    }
}

/// The rows of a file with their lines and cells.
struct Parsed {
    rows: Vec<(u64, ImportRow, StringRecord)>,
    columns: &'static [&'static str],
    wrong: Vec<Wrong>,
}

pub(super) async fn run(
    file: &Path,
    dry_run: bool,
    store: &Store,
    acting: &dyn Fn(&str) -> Result<Actor, ActorError>,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Answer> {
    let octets = std::fs::metadata(file).with_context(|| format!("{} cannot be read", file.display()))?.len();
    if octets > FILE_OCTETS_MAX {
        bail!("{} is larger than {FILE_OCTETS_MAX} octets; split it", file.display());
    }
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read as UTF-8 text; save it as CSV UTF-8", file.display()))?;
    let parsed = read(&text).with_context(|| file.display().to_string())?;
    let mut wrong = parsed.wrong;
    let rows: Vec<ImportRow> = parsed.rows.iter().map(|(_, row, _)| row.clone()).collect();
    let store = store.acting_as(acting(&file_text(file, &text))?);
    // With wrong lines left out the others are tried all the same, so that all errors are known at once.
    let done = match store.import(&rows, now, dry_run || !wrong.is_empty()).await? {
        Ok(done) => done,
        Err(errors) => {
            for error in errors {
                let Some((line, _, cells)) = parsed.rows.get(error.row) else { continue };
                wrong.push(refused(*line, cells, parsed.columns, &error.error));
            }
            Vec::new()
        }
    };
    if !wrong.is_empty() {
        wrong.sort_by_key(|wrong| wrong.line);
        for wrong in &wrong {
            writeln!(out, "{}, {wrong}", file.display())?;
        }
        let errors = if wrong.len() == 1 { "error" } else { "errors" };
        bail!("{}: {} {errors}; nothing was imported", file.display(), wrong.len());
    }
    let (mut text, mut lines) = (String::new(), Vec::new());
    for ((line, ..), what) in parsed.rows.iter().zip(&done) {
        text += &format!("line {line}: {what}\n");
        lines.push(json!({ "line": line, "done": what }));
    }
    let verb = if dry_run { "would be imported; run it again without --dry-run" } else { "imported" };
    text += &format!("{} lines {verb}\n", done.len());
    Ok(Answer { text, json: json!({ "dry_run": dry_run, "lines": lines }) })
}

/// Which file it is, for the trail.
fn file_text(file: &Path, text: &str) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let hash: String = Sha256::digest(text).iter().map(|octet| format!("{octet:02x}")).collect();
    format!("import of {}, SHA-256 {hash}", name.escape_debug())
}

/// Reads the whole text; what is wrong with single cells is gathered.
fn read(text: &str) -> anyhow::Result<Parsed> {
    let text = text.trim_start_matches('\u{feff}');
    let header_line = text.lines().next().unwrap_or_default();
    // Spreadsheets of half of Europe write semicolons.
    let delimiter = if header_line.contains(';') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let columns: &'static [&'static str] = if header == MEMBER_COLUMNS {
        &MEMBER_COLUMNS
    } else if header == PACKAGE_COLUMNS {
        &PACKAGE_COLUMNS
    } else {
        bail!(
            "line 1: the header is `{header_line}`; write `{}` for members or `{}` for packages",
            MEMBER_COLUMNS.join(","),
            PACKAGE_COLUMNS.join(",")
        );
    };
    let mut parsed = Parsed { rows: Vec::new(), columns, wrong: Vec::new() };
    let mut seen = Seen::default();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.len() {
            let mend = format!("{} cells instead of {}", record.len(), columns.len());
            let value = record.iter().collect::<Vec<_>>().join(",");
            parsed.wrong.push(Wrong { line, column: "(all)", value, mend });
            continue;
        }
        let cells = Cells { line, record: &record, columns };
        let row =
            if columns.len() == MEMBER_COLUMNS.len() { member_row(&cells) } else { package_row(&cells) };
        match row.and_then(|row| seen.once(row, &cells)) {
            Ok(row) => parsed.rows.push((line, row, record)),
            Err(wrong) => parsed.wrong.extend(wrong),
        }
    }
    Ok(parsed)
}

/// What stands in the file once.
#[derive(Default)]
struct Seen {
    numbers: HashMap<Msisdn, u64>,
    leaders: HashMap<FixedNumber, u64>,
}

impl Seen {
    /// The row, unless an earlier line is about the same number, or gives the same group a leader.
    fn once(&mut self, row: ImportRow, cells: &Cells<'_>) -> Result<ImportRow, Vec<Wrong>> {
        let ImportRow::Member { contract, msisdn, leader } = &row else { return Ok(row) };
        let mut wrong = Vec::new();
        if let Some(earlier) = self.numbers.insert(*msisdn, cells.line) {
            let mend = format!("the number stands in line {earlier} too; leave one of them out");
            wrong.push(cells.wrong("msisdn", mend));
        }
        if leader.is_some()
            && let Some(earlier) = self.leaders.insert(contract.clone(), cells.line)
        {
            let mend =
                format!("line {earlier} names a leader of the same group; write `member` in one of them");
            wrong.push(cells.wrong("role", mend));
        }
        if wrong.is_empty() { Ok(row) } else { Err(wrong) }
    }
}

/// The cells of a line, by column.
struct Cells<'a> {
    line: u64,
    record: &'a StringRecord,
    columns: &'static [&'static str],
}

impl Cells<'_> {
    fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        index.and_then(|index| self.record.get(index)).unwrap_or_default()
    }

    fn wrong(&self, column: &'static str, mend: impl Into<String>) -> Wrong {
        Wrong { line: self.line, column, value: self.text(column).to_owned(), mend: mend.into() }
    }

    fn parsed<T>(&self, column: &'static str, parse: fn(&str) -> Result<T, String>) -> Result<T, Wrong> {
        parse(self.text(column)).map_err(|mend| self.wrong(column, mend))
    }

    fn optional<T>(
        &self,
        column: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Wrong> {
        if self.text(column).is_empty() { Ok(None) } else { self.parsed(column, parse).map(Some) }
    }
}

/// What could be read of a cell; what is wrong with it is put to the rest.
fn kept<T>(wrong: &mut Vec<Wrong>, read: Result<T, Wrong>) -> Option<T> {
    read.map_err(|one| wrong.push(one)).ok()
}

fn member_row(cells: &Cells<'_>) -> Result<ImportRow, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let contract = kept(&mut wrong, cells.parsed("contract", parse::contract));
    let msisdn = kept(&mut wrong, cells.parsed("msisdn", parse::msisdn));
    let leader = match cells.text("role") {
        "member" => {
            let mend = "only a leader has this; leave it empty, or write role `leader`";
            let filled = ["granted_by", "channel", "declaration"].into_iter();
            wrong.extend(
                filled.filter(|name| !cells.text(name).is_empty()).map(|name| cells.wrong(name, mend)),
            );
            None
        }
        "leader" => grant(cells, &mut wrong),
        _ => {
            wrong.push(cells.wrong("role", "write `member` or `leader`"));
            None
        }
    };
    match (contract, msisdn) {
        (Some(contract), Some(msisdn)) if wrong.is_empty() => {
            Ok(ImportRow::Member { contract, msisdn, leader })
        }
        _ => Err(wrong),
    }
}

/// Who granted the right of the Lider Mobile, and how.
fn grant(cells: &Cells<'_>, wrong: &mut Vec<Wrong>) -> Option<(String, GrantChannel)> {
    let granted_by = cells.parsed("granted_by", |text| {
        parse::words(text).map_err(|why| format!("{why}; write who granted the right: the Lider Fiks"))
    });
    let granted_by = kept(wrong, granted_by);
    let none = cells.text("declaration").is_empty();
    let channel = match cells.text("channel") {
        "shop" if none => Err(cells.wrong("declaration", "write the number of the signed declaration")),
        "shop" => {
            cells.parsed("declaration", parse::words).map(|declaration| GrantChannel::Shop { declaration })
        }
        "online" if none => Ok(GrantChannel::Online),
        "online" => {
            let mend = "leave it empty: there is none for a right granted online";
            Err(cells.wrong("declaration", mend))
        }
        _ => Err(cells.wrong("channel", "write `shop` or `online`")),
    };
    granted_by.zip(kept(wrong, channel))
}

fn package_row(cells: &Cells<'_>) -> Result<ImportRow, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let name = |text: &str| text.parse::<PackageName>().map_err(|error| error.to_string());
    let name = kept(&mut wrong, cells.parsed("package", name));
    let list = kept(&mut wrong, cells.parsed("list_price", parse::price));
    let valid_from = kept(&mut wrong, cells.parsed("valid_from", parse::day));
    let valid_until = kept(&mut wrong, cells.optional("valid_until", parse::day));
    let announced_on = kept(&mut wrong, cells.optional("announced_on", parse::day));
    match (name, list, valid_from, valid_until, announced_on) {
        (Some(name), Some(list), Some(valid_from), Some(valid_until), Some(announced_on)) => {
            let announced_on = announced_on.unwrap_or(valid_from);
            Ok(ImportRow::Package(NewPackage { name, list, announced_on, valid_from, valid_until }))
        }
        _ => Err(wrong),
    }
}

/// Points at the cell that the refusal is about.
fn refused(line: u64, record: &StringRecord, columns: &'static [&'static str], error: &AdminError) -> Wrong {
    let column = match error {
        AdminError::NoGroup(_)
        | AdminError::GroupExists(_)
        | AdminError::GroupFull { .. }
        | AdminError::NoLeader(_)
        | AdminError::NoLeaderForPin(_)
        | AdminError::NoPin(_)
        | AdminError::NoSuchContract(_)
        | AdminError::ClockBehind => "contract",
        AdminError::AlreadyMember { .. }
        | AdminError::NotMember { .. }
        | AdminError::LeaderAlready { .. } => "msisdn",
        AdminError::PackageOverlap { .. } | AdminError::InThePast { .. } | AdminError::Notice(_) => {
            "valid_from"
        }
        AdminError::EndsBeforeItBegins { .. } => "valid_until",
        AdminError::NoPackage(_) => "package",
        AdminError::NoAddress(_) | AdminError::NoReason | AdminError::Store(_) => "(all)",
    };
    Cells { line, record, columns }.wrong(column, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_wrong_cell_is_named_with_its_mend() {
        let text = "contract,msisdn,role,granted_by,channel,declaration\n\
                    042250928,0672123456,member,,,\n\
                    042250928,0671123456,member,,,\n\
                    42,0672123456,member,,,\n\
                    042250928,0672123457,boss,,,\n\
                    042250928,0672123457,leader,,shop,17\n\
                    042250928,0672123457,leader,Lider Fiks,shop,\n\
                    042250928,0672123457,leader,Lider Fiks,online,17\n\
                    042250928,0672123457,member,Lider Fiks,,\n\
                    042250928,0672123457\n\
                    42,1,boss,,,\n\
                    042250928,0692000001,leader,Lider Fiks,shop,17\n\
                    042250928,0672123456,leader,Lider Fiks,online,\n\
                    042250928,0692000002,leader,,fax,17\n";
        let parsed = read(text).unwrap();
        assert_eq!(parsed.rows.len(), 2);
        let named: Vec<(u64, &str, &str)> =
            parsed.wrong.iter().map(|wrong| (wrong.line, wrong.column, wrong.value.as_str())).collect();
        assert_eq!(
            named,
            [
                (3, "msisdn", "0671123456"),
                (4, "contract", "42"),
                (5, "role", "boss"),
                (6, "granted_by", ""),
                (7, "declaration", ""),
                (8, "declaration", "17"),
                (9, "granted_by", "Lider Fiks"),
                (10, "(all)", "042250928,0672123457"),
                (11, "contract", "42"),
                (11, "msisdn", "1"),
                (11, "role", "boss"),
                (13, "msisdn", "0672123456"),
                (13, "role", "leader"),
                (14, "granted_by", ""),
                (14, "channel", "fax"),
            ]
        );
        assert_eq!(
            parsed.wrong[0].to_string(),
            "line 3, column msisdn, `0671123456`: it does not begin with 067 2-9, 068 2-9 or 069; write it like 0672123456"
        );
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let text = "\u{feff}package;list_price;valid_from;valid_until;announced_on\r\nSuper 1500; 1500 ;2026-12-01;;\r\n";
        let parsed = read(text).unwrap();
        assert!(parsed.wrong.is_empty());
        let ImportRow::Package(package) = &parsed.rows[0].1 else { panic!() };
        assert_eq!((package.name.number(), package.list.whole_lek()), (1500, Some(1500)));
        assert!(read("a,b\n1,2\n").err().unwrap().to_string().contains("contract,msisdn,role"));
        assert!(read("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", lines in "[a-z0-9,;\"\n\r]{0,200}") {
            let _ = read(&text);
            let _ = read(&format!("{}\n{lines}", MEMBER_COLUMNS.join(",")));
            let _ = read(&format!("{}\n{lines}", PACKAGE_COLUMNS.join(";")));
        }
    }
}
