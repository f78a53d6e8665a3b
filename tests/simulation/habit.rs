//! What is wrong with the callers that do not behave.

use crate::chance::Chance;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Does everything right, and lets the service hang up.
    Plain,
    /// Acknowledges no final response.
    NeverAcknowledges,
    /// Cancels at a random moment: before any response, while it rings, or too late.
    Cancels,
    /// Sends BYE as soon as there is a dialog, in the early one or before the ACK.
    HangsUpEarly,
    /// Sends everything three times, whatever was answered.
    Stutters,
    /// Changes and refreshes the session, sometimes two at a time and sometimes without an ACK.
    Reinvites,
    /// Puts the service on hold and comes back.
    Holds,
    /// Is gone at a random moment, in both directions.
    Vanishes,
    /// Sends its INVITE by two ways.
    Forks,
    /// Sends requests in the dialog that nobody needs: OPTIONS, INFO, UPDATE, MESSAGE, old CSeqs, foreign tags.
    Chatters,
    /// Sends what belongs to nothing: ACKs, responses, CANCELs, BYEs.
    Strays,
    /// Answers the service's requests with a refusal, or never.
    Sulks,
    /// Has octets of what it sends changed on the way.
    Mumbles,
}

impl Habit {
    /// Those of a run: only in some is there a caller whose messages are damaged, because then less can be demanded of
    /// the answers.
    pub fn of(chance: &mut Chance, with_damage: bool) -> Self {
        use Habit::{
            Cancels, Chatters, Forks, HangsUpEarly, Holds, Mumbles, NeverAcknowledges, Plain, Reinvites,
            Strays, Stutters, Sulks, Vanishes,
        };
        let all = [
            Plain,
            NeverAcknowledges,
            Cancels,
            HangsUpEarly,
            Stutters,
            Reinvites,
            Holds,
            Vanishes,
            Forks,
            Chatters,
            Strays,
            Sulks,
            Mumbles,
        ];
        let count = if with_damage { all.len() } else { all.len() - 1 };
        chance.pick(&all[..count])
    }
}
