//! Between columns and types: a row that this program cannot have written is `Corrupt`, never a panic.

use crate::store::StoreError;
use crate::units::{FixedNumber, Money, Msisdn};
use jiff::{Timestamp, civil::Date};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::str::FromStr;

/// Reads typed values out of a row by the column's name.
pub(super) trait Columns {
    fn integer(&self, column: &str) -> Result<i64, StoreError>;
    fn integer_option(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn text(&self, column: &str) -> Result<String, StoreError>;
    fn text_option(&self, column: &str) -> Result<Option<String>, StoreError>;

    fn money(&self, column: &str) -> Result<Money, StoreError> {
        self.integer(column).map(Money::from_qindarka)
    }

    fn instant(&self, column: &str) -> Result<Timestamp, StoreError> {
        let ms = self.integer(column)?;
        Timestamp::from_millisecond(ms).map_err(|_| corrupt(column, &ms.to_string()))
    }

    fn instant_option(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.integer_option(column)? {
            None => Ok(None),
            Some(_) => self.instant(column).map(Some),
        }
    }

    fn parsed<T: FromStr>(&self, column: &str) -> Result<T, StoreError> {
        let text = self.text(column)?;
        text.parse().map_err(|_| corrupt(column, &text))
    }

    fn parsed_option<T: FromStr>(&self, column: &str) -> Result<Option<T>, StoreError> {
        match self.text_option(column)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| corrupt(column, &text)),
        }
    }

    fn day(&self, column: &str) -> Result<Date, StoreError> {
        self.parsed(column)
    }

    fn msisdn(&self, column: &str) -> Result<Msisdn, StoreError> {
        Msisdn::parse(&self.text(column)?).map_err(|_| corrupt(column, "no mobile number"))
    }

    fn contract(&self, column: &str) -> Result<FixedNumber, StoreError> {
        let text = self.text(column)?;
        FixedNumber::parse(&text).map_err(|_| corrupt(column, &text))
    }
}

impl Columns for AnyRow {
    fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn integer_option(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text_option(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// A value that makes no sense in its column.
pub(super) fn corrupt(column: &str, value: &str) -> StoreError {
    StoreError::Corrupt(format!("{column}: {value}"))
}
