//! What the operator's billing system answers to a run: a CSV file of one row a contract.

use super::BillRun;
use crate::units::FixedNumber;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The columns of the file.
pub const ACKNOWLEDGEMENT_COLUMNS: [&str; 4] = ["sequence", "contract", "result", "reason"];

/// Whether a contract's line was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum LineResult {
    /// It stands on the bill.
    Accepted,
    /// It does not.
    Rejected {
        /// In the billing system's words.
        reason: String,
    },
}

/// A run against its acknowledgement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    /// What became of each line, by contract.
    pub results: BTreeMap<FixedNumber, LineResult>,
    /// Lines of the run that the file has nothing about.
    pub missing: Vec<FixedNumber>,
}

/// Why a file is no acknowledgement of this run. Lines are counted from 1, the header's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgementError {
    /// Not the columns.
    #[error("line 1: the columns are `{found}`; expected `sequence,contract,result,reason`")]
    Columns {
        /// What stands there.
        found: String,
    },
    /// Not CSV, or a field too many.
    #[error("line {line}: {why}")]
    Csv {
        /// Where.
        line: u64,
        /// In the reader's words.
        why: String,
    },
    /// About another run.
    #[error("line {line}: sequence `{found}` is not this run's, {expected}")]
    Sequence {
        /// Where.
        line: u64,
        /// What stands there.
        found: String,
        /// The run's.
        expected: u32,
    },
    /// A contract that the run has no line for.
    #[error("line {line}: the run has no line for contract `{contract}`")]
    Unknown {
        /// Where.
        line: u64,
        /// What stands there.
        contract: String,
    },
    /// Said already.
    #[error("line {line}: contract {contract} stands in an earlier line too")]
    Twice {
        /// Where.
        line: u64,
        /// Which.
        contract: FixedNumber,
    },
    /// Neither taken over nor rejected for a reason.
    #[error(
        "line {line}: result `{result}` with reason `{reason}`; write `accepted`, or `rejected` with a reason"
    )]
    Result {
        /// Where.
        line: u64,
        /// What stands there.
        result: String,
        /// What stands there.
        reason: String,
    },
}

impl BillRun {
    /// Reads the acknowledgement of this run. The whole file is refused for one wrong line.
    pub fn acknowledged(&self, file: &[u8]) -> Result<Acknowledgement, AcknowledgementError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let headers = reader.headers().map_err(|error| csv_error(&error))?;
        if !headers.iter().eq(ACKNOWLEDGEMENT_COLUMNS) {
            let found = headers.iter().collect::<Vec<_>>().join(",");
            return Err(AcknowledgementError::Columns { found });
        }
        let contracts: BTreeSet<&FixedNumber> = self.lines.iter().map(|line| &line.contract).collect();
        let mut results = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(|error| csv_error(&error))?;
            let line = row.position().map_or(0, csv::Position::line);
            let (contract, result) = self.acknowledged_line(line, &row, &contracts)?;
            if results.insert(contract.clone(), result).is_some() {
                return Err(AcknowledgementError::Twice { line, contract });
            }
        }
        let missing = contracts.into_iter().filter(|contract| !results.contains_key(contract)).cloned();
        Ok(Acknowledgement { missing: missing.collect(), results })
    }

    fn acknowledged_line(
        &self,
        line: u64,
        row: &csv::StringRecord,
        contracts: &BTreeSet<&FixedNumber>,
    ) -> Result<(FixedNumber, LineResult), AcknowledgementError> {
        let field = |index| row.get(index).unwrap_or_default();
        if field(0).parse() != Ok(self.sequence) {
            let found = field(0).to_owned();
            return Err(AcknowledgementError::Sequence { line, found, expected: self.sequence });
        }
        let contract = FixedNumber::parse(field(1)).ok().filter(|contract| contracts.contains(contract));
        let Some(contract) = contract else {
            return Err(AcknowledgementError::Unknown { line, contract: field(1).to_owned() });
        };
        let result = match (field(2), field(3)) {
            ("accepted", "") => LineResult::Accepted,
            ("rejected", reason) if !reason.is_empty() => LineResult::Rejected { reason: reason.to_owned() },
            (result, reason) => {
                let (result, reason) = (result.to_owned(), reason.to_owned());
                return Err(AcknowledgementError::Result { line, result, reason });
            }
        };
        Ok((contract, result))
    }
}

fn csv_error(error: &csv::Error) -> AcknowledgementError {
    let line = error.position().map_or(1, csv::Position::line);
    AcknowledgementError::Csv { line, why: error.to_string() }
}
