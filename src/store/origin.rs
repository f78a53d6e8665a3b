//! What a call record keeps of where its call came from.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a call came from, and what its INVITE said of the caller, believed or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Origin {
    /// The peer that sent it, by its name in the settings; `None`: a stranger.
    pub peer: Option<String>,
    /// The user who authenticated.
    pub user: Option<String>,
    /// `icid-value` of P-Charging-Vector (RFC 7315): the same in the records of all networks of the call.
    pub charging_id: Option<String>,
    /// Where the caller's number, being ported, is routed to (`rn`, RFC 4694).
    pub routing_number: Option<String>,
    /// Header fields as they came, numbers whole, lengths limited.
    pub stated: Vec<StatedField>,
}

/// A header field of an INVITE. Its `Debug` shows only the name: the value names subscribers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedField {
    /// Its full name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for StatedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatedField").field("name", &self.name).finish_non_exhaustive()
    }
}
