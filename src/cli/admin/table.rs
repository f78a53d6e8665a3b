//! Tables for the terminal, and the forms that both commands show.

use crate::units::Month;
use jiff::Timestamp;

/// Rows under a header, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(in crate::cli) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns that hold amounts stand to the right.
    right: &'static [usize],
}

impl Table {
    pub(in crate::cli) fn new(header: &[&str], right: &'static [usize]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()], right }
    }

    pub(in crate::cli) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                line += &if self.right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.rows.len() == 1 {
            writeln!(f, "(none)")?;
        }
        Ok(())
    }
}

/// An instant as a clock in Tirane shows it: `2026-11-22 11:00:00`.
pub(in crate::cli) fn local_time(instant: Timestamp) -> String {
    instant.to_zoned(Month::time_zone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The same, or a dash.
pub(in crate::cli) fn local_time_option(instant: Option<Timestamp>) -> String {
    instant.map_or_else(|| "-".to_owned(), local_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["name", "price"], &[1]);
        table.row(["ë".to_owned(), "900".to_owned()]);
        table.row(["long name".to_owned(), "1 900".to_owned()]);
        assert_eq!(table.to_string(), "name       price\në            900\nlong name  1 900\n");
        assert_eq!(Table::new(&["name"], &[]).to_string(), "name\n(none)\n");
        let summer = "2026-06-30T22:00:00Z".parse().unwrap();
        assert_eq!(local_time(summer), "2026-07-01 00:00:00");
    }
}
