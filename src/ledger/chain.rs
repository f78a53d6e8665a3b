//! The chain of a group's month: each row of the ledger carries the SHA-256 of its content and of the hash of the row
//! before it, so that no row can be changed, taken out or put in between without every later hash being wrong. A chain
//! for each group and month, so that groups do not wait for one another. What exactly is hashed is in `docs/ledger.md`.

use super::rows::{ActivationFacts, LedgerRow, Phase, Place, ReversalFacts, SettlementFacts, TransferFacts};
use super::{AccountKind, Resolution};
use crate::units::{GroupId, Month};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// What the first hash of every chain is made of, besides its group and month.
const BEGINNING: &str = "klikon ledger 1";

/// The hash of a row: 32 octets, written as 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowHash([u8; 32]);

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Serialize for RowHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits in lower case")]
pub struct RowHashError;

impl FromStr for RowHash {
    type Err = RowHashError;

    fn from_str(text: &str) -> Result<Self, RowHashError> {
        let digit = |octet: u8| match octet {
            b'0'..=b'9' => Ok(octet - b'0'),
            b'a'..=b'f' => Ok(octet - b'a' + 10),
            _ => Err(RowHashError),
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| RowHashError)?;
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            *octet = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(octets))
    }
}

/// Where a chain has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Rows so far, which is the position of the last one.
    pub length: i64,
    /// The hash of the last row; before the first, of the group and the month.
    pub head: RowHash,
}

impl Chain {
    /// Before the first row of a group's month.
    pub fn begin(group: GroupId, month: Month) -> Self {
        let mut content = Content(Sha256::new());
        content.text(BEGINNING).integer(group.0).text(&month.to_string());
        Self { length: 0, head: content.hash() }
    }

    /// Appends a row, and gives its position and hash: the new end of the chain.
    pub fn append(&mut self, row: &LedgerRow) -> Self {
        let position = self.length.saturating_add(1);
        let mut content = Content(Sha256::new());
        content.0.update(self.head.0);
        content.integer(position);
        match row {
            LedgerRow::Activation(facts) => content.activation(facts),
            LedgerRow::Transfer(facts) => content.transfer(facts),
            LedgerRow::Settlement(facts) => content.settlement(facts),
            LedgerRow::Reversal(facts) => content.reversal(facts),
        }
        *self = Self { length: position, head: content.hash() };
        *self
    }
}

/// The canonical content of a row. Each field is the number of its octets, in four octets with the highest first, and
/// then the field: texts in UTF-8, integers in decimal digits, instants in milliseconds since 1970-01-01 UTC, amounts in
/// qindarka. A field that is not there is four octets of 255 and nothing more.
struct Content(Sha256);

impl Content {
    fn text(&mut self, text: &str) -> &mut Self {
        // No field is anywhere near 4 GiB.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX - 1);
        self.0.update(length.to_be_bytes());
        self.0.update(text.as_bytes());
        self
    }

    fn integer(&mut self, integer: i64) -> &mut Self {
        self.text(&integer.to_string())
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.0.update(u32::MAX.to_be_bytes()),
        }
        self
    }

    fn activation(&mut self, facts: &ActivationFacts) {
        self.text("activation")
            .text(&facts.id.to_string())
            .text(&facts.call.to_string())
            .integer(facts.group.0)
            .integer(facts.leader.0)
            .text(&facts.caller.e164())
            .integer(facts.member_id.0)
            .text(&facts.member.e164())
            .integer(facts.package.0)
            .integer(facts.terms)
            .integer(facts.list.qindarka())
            .integer(facts.discount.qindarka())
            .integer(facts.net.qindarka())
            .text(&facts.month.to_string())
            .integer(facts.held_at.as_millisecond());
    }

    fn transfer(&mut self, facts: &TransferFacts) {
        self.text("transfer").text(facts.phase.label());
        self.account(facts.debit);
        self.account(facts.credit);
        self.integer(facts.amount.qindarka())
            .option(facts.activation, |content, id| {
                content.text(&id.to_string());
            })
            .option(facts.phase.of(), |content, Place { month, position }| {
                content.text(&month.to_string()).integer(position);
            })
            .integer(facts.booked_at.as_millisecond());
    }

    fn account(&mut self, kind: AccountKind) {
        self.text(kind.label())
            .option(kind.group(), |content, group| {
                content.integer(group.0);
            })
            .option(kind.month(), |content, month| {
                content.text(&month.to_string());
            });
    }

    fn settlement(&mut self, facts: &SettlementFacts) {
        let result = match facts.resolution {
            Resolution::Post => "post",
            Resolution::Void => "void",
        };
        self.text("settlement")
            .text(&facts.activation.to_string())
            .text(result)
            .option(facts.reason.as_deref(), |content, reason| {
                content.text(reason);
            })
            .integer(facts.settled_at.as_millisecond());
    }

    fn reversal(&mut self, facts: &ReversalFacts) {
        self.text("reversal")
            .text(&facts.activation.to_string())
            .text(&facts.reason)
            .text(&facts.actor)
            .integer(facts.reversed_at.as_millisecond());
    }

    fn hash(self) -> RowHash {
        RowHash(self.0.finalize().into())
    }
}

impl Phase {
    /// The pending transfer that it resolves, or whose posting it takes back.
    pub fn of(self) -> Option<Place> {
        match self {
            Self::Grant | Self::Pending => None,
            Self::Post(place) | Self::Void(place) | Self::Reversal(place) => Some(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::rows::{SettlementFacts, TransferFacts};
    use crate::units::{ActivationId, Money};

    fn settlement(reason: Option<&str>) -> LedgerRow {
        LedgerRow::Settlement(SettlementFacts {
            activation: "01a20000-0000-7000-8000-000000000001".parse::<ActivationId>().unwrap(),
            resolution: if reason.is_some() { Resolution::Void } else { Resolution::Post },
            reason: reason.map(str::to_owned),
            settled_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        })
    }

    /// The same octets hashed by hand, as `docs/ledger.md` says it: an auditor needs nothing of ours.
    #[test]
    fn what_is_hashed_is_what_the_document_says() {
        let field =
            |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let mut chain = Chain::begin(GroupId(7), "2026-11".parse().unwrap());
        let begin = [field("klikon ledger 1"), field("7"), field("2026-11")].concat();
        assert_eq!(chain.head.0[..], Sha256::digest(begin)[..]);
        let before = chain.head;
        let link = chain.append(&settlement(None));
        let content = [
            before.0.to_vec(),
            field("1"),
            field("settlement"),
            field("01a20000-0000-7000-8000-000000000001"),
            field("post"),
            vec![255; 4],
            field("1795341600000"),
        ];
        assert_eq!(link.head.0[..], Sha256::digest(content.concat())[..]);
        assert_eq!((link.length, link), (1, chain));
        // A posting of what the third row holds.
        let place = Place { month: "2026-11".parse().unwrap(), position: 3 };
        let before = chain.head;
        let link = chain.append(&LedgerRow::Transfer(TransferFacts {
            phase: Phase::Post(place),
            debit: AccountKind::Limit { group: GroupId(7), month: place.month },
            credit: AccountKind::LimitSpent,
            amount: Money::from_lek(900),
            activation: Some("01a20000-0000-7000-8000-000000000001".parse().unwrap()),
            booked_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        }));
        let content = [
            before.0.to_vec(),
            ["2", "transfer", "post", "limit", "7", "2026-11", "limit_spent"].map(field).concat(),
            vec![255; 8],
            ["90000", "01a20000-0000-7000-8000-000000000001", "2026-11", "3", "1795341600000"]
                .map(field)
                .concat(),
        ];
        assert_eq!(link.head.0[..], Sha256::digest(content.concat())[..]);
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let head = Chain::begin(GroupId(1), "2026-11".parse().unwrap()).head;
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "00", &"A".repeat(64), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<RowHash>(), Err(RowHashError), "{bad}");
        }
    }

    #[test]
    fn another_content_position_or_beginning_is_another_hash() {
        let begin = |group| Chain::begin(GroupId(group), "2026-11".parse().unwrap());
        let (mut one, mut two, mut three) = (begin(1), begin(1), begin(2));
        let row = settlement(Some("ab"));
        assert_ne!(one.append(&row).head, three.append(&row).head);
        assert_ne!(one.append(&row).head, two.append(&row).head, "the second is not the first");
        assert_ne!(one.append(&settlement(Some("a"))).head, two.append(&settlement(Some("b"))).head);
    }
}
