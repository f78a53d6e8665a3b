//! `klikon admin import`: a CSV file of members or of packages, whole or not at all.

use super::{Answer, parse};
use crate::klikon::PackageName;
use crate::store::{Actor, ActorError, AdminError, GrantChannel, ImportRow, NewPackage, Store};
use anyhow::{Context, bail};
use csv::StringRecord;
use jiff::{Timestamp, civil::Date};
use serde_json::json;
use sha2::{Digest, Sha256};
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
    // Lines that cannot be read would make others look wrong that are not.
    let done = if wrong.is_empty() {
        match store.acting_as(acting(&file_text(file, &text))?).import(&rows, now, dry_run).await? {
            Ok(done) => done,
            Err(errors) => {
                for error in errors {
                    let Some((line, _, cells)) = parsed.rows.get(error.row) else { continue };
                    wrong.push(refused(*line, cells, parsed.columns, &error.error));
                }
                Vec::new()
            }
        }
    } else {
        Vec::new()
    };
    if !wrong.is_empty() {
        for wrong in &wrong {
            writeln!(out, "{wrong}")?;
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
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.len() {
            let mend = format!("{} cells instead of {}", record.len(), columns.len());
            parsed.wrong.push(Wrong { line, column: "(all)", value: record.iter().collect(), mend });
            continue;
        }
        let cells = Cells { line, record: &record, columns };
        let row =
            if columns.len() == MEMBER_COLUMNS.len() { member_row(&cells) } else { package_row(&cells) };
        match row {
            Ok(row) => parsed.rows.push((line, row, record)),
            Err(wrong) => parsed.wrong.push(wrong),
        }
    }
    Ok(parsed)
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

fn member_row(cells: &Cells<'_>) -> Result<ImportRow, Wrong> {
    let contract = cells.parsed("contract", parse::contract)?;
    let msisdn = cells.parsed("msisdn", parse::msisdn)?;
    let leads = match cells.text("role") {
        "member" => false,
        "leader" => true,
        _ => return Err(cells.wrong("role", "write `member` or `leader`")),
    };
    if !leads {
        for column in ["granted_by", "channel", "declaration"] {
            if !cells.text(column).is_empty() {
                return Err(
                    cells.wrong(column, "only a leader has this; leave it empty, or write role `leader`")
                );
            }
        }
        return Ok(ImportRow::Member { contract, msisdn, leader: None });
    }
    let granted_by = cells.text("granted_by").to_owned();
    if granted_by.is_empty() {
        return Err(cells.wrong("granted_by", "write who granted the right: the Lider Fiks"));
    }
    let declaration = cells.text("declaration").to_owned();
    let channel = match (cells.text("channel"), declaration.is_empty()) {
        ("shop", false) => GrantChannel::Shop { declaration },
        ("online", true) => GrantChannel::Online,
        ("shop", true) => {
            return Err(cells.wrong("declaration", "write the number of the signed declaration"));
        }
        ("online", false) => {
            return Err(
                cells.wrong("declaration", "leave it empty: there is none for a right granted online")
            );
        }
        _ => return Err(cells.wrong("channel", "write `shop` or `online`")),
    };
    Ok(ImportRow::Member { contract, msisdn, leader: Some((granted_by, channel)) })
}

fn package_row(cells: &Cells<'_>) -> Result<ImportRow, Wrong> {
    let name =
        cells.parsed("package", |text| text.parse::<PackageName>().map_err(|error| error.to_string()))?;
    let valid_from: Date = cells.parsed("valid_from", parse::day)?;
    Ok(ImportRow::Package(NewPackage {
        name,
        list: cells.parsed("list_price", parse::price)?,
        announced_on: cells.optional("announced_on", parse::day)?.unwrap_or(valid_from),
        valid_from,
        valid_until: cells.optional("valid_until", parse::day)?,
    }))
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
        | AdminError::ClockBehind => "contract",
        AdminError::AlreadyMember { .. }
        | AdminError::NotMember { .. }
        | AdminError::LeaderAlready { .. } => "msisdn",
        AdminError::PackageOverlap { .. } | AdminError::InThePast { .. } | AdminError::Notice(_) => {
            "valid_from"
        }
        AdminError::EndsBeforeItBegins { .. } => "valid_until",
        AdminError::NoPackage(_) => "package",
        AdminError::Store(_) => "(all)",
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
                    042250928,0672123457\n";
        let parsed = read(text).unwrap();
        assert_eq!(parsed.rows.len(), 1);
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
                (10, "(all)", "0422509280672123457"),
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
