//! What is wrong with a flow, where, and how to mend it.

use std::fmt;
use std::ops::Range;

/// One error of a flow file. `Display` is one line: `file:line: what is wrong; the mend`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct FlowError {
    /// As given to `Flow::parse`.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.message, self.mend)
    }
}

/// Collects the errors of one file.
#[derive(Debug)]
pub(super) struct Errors<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<FlowError>,
}

impl<'a> Errors<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// The line, from 1, that an octet offset falls in.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|octet| **octet == b'\n').count() + 1
    }

    pub(super) fn at(&mut self, span: &Range<usize>, message: impl Into<String>, mend: impl Into<String>) {
        let line = self.line(span.start);
        self.on_line(line, message, mend);
    }

    pub(super) fn on_line(&mut self, line: usize, message: impl Into<String>, mend: impl Into<String>) {
        let (message, mend) = (message.into(), mend.into());
        self.found.push(FlowError { file: self.file.to_owned(), line, message, mend });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of the lines.
    pub(super) fn into_found(mut self) -> Vec<FlowError> {
        self.found.sort_by_key(|error| error.line);
        self.found
    }
}

/// The candidate most like a word, when it is like enough to be meant by it.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or what else can be done.
pub(super) fn mean_or<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, candidates).map_or_else(otherwise, |found| format!("did you mean `{found}`?"))
}

/// Levenshtein's distance, in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let change = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = change.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, distance) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("bargin", "bargein", 1)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
        assert_eq!(nearest("welcom", ["goodbye", "welcome"]), Some("welcome"));
        assert_eq!(nearest("welcome", ["goodbye"]), None);
    }
}
