//! What callers and the other sides of delivery have kept for themselves: the only witnesses besides the database.

/// One call, as its caller remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who phoned, E.164.
    pub caller: String,
    /// For whom, E.164.
    pub member: String,
    /// What was chosen: `Super 700`.
    pub package: String,
    /// When the key that confirms was pressed, ms since 1970; `None`: it never was.
    pub confirmed_at_ms: Option<i64>,
    /// The prompts heard after that, by their ids, in order.
    pub heard: Vec<String>,
}

impl Call {
    /// Whether one of these prompts was heard.
    pub fn has_heard(&self, prompts: &[&str]) -> bool {
        self.heard.iter().any(|heard| prompts.contains(&heard.as_str()))
    }
}

/// What the network's provisioning and the SMS gateway have seen and done, in the order of their one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// An order came: perhaps again.
    Order {
        /// Its id.
        activation: String,
        /// For which number.
        msisdn: String,
        /// Of which package.
        package: String,
        /// Every octet of it.
        content: String,
    },
    /// The network has done what an order says, or refused to.
    Effect {
        /// Of which order.
        activation: String,
        /// Whether the package is active now.
        activated: bool,
    },
    /// An SMS came: perhaps again.
    Sms {
        /// The name it has at the gateway: the number of its outbox row.
        row: i64,
        /// What it is about.
        activation: String,
        /// To whom.
        recipient: String,
        /// What it says.
        text: String,
    },
}
