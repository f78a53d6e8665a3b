//! Who may connect: so many in all, so many from one address. And what tasks of connections counted, until the driver
//! takes it over.

use super::settings::StreamSettings;
use crate::sip::Counter;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that are there.
#[derive(Debug, Default)]
struct Present {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Lets connections in up to the limits.
#[derive(Debug)]
pub(super) struct Admission {
    max: usize,
    max_of_address: usize,
    present: Mutex<Present>,
}

impl Admission {
    pub(super) fn new(settings: &StreamSettings) -> Arc<Self> {
        Arc::new(Self {
            max: settings.max_connections,
            max_of_address: settings.max_connections_of_address,
            present: Mutex::default(),
        })
    }

    /// A place for a connection with `address`; `None` where there is none left.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = present.by_address.get(&address).copied().unwrap_or(0);
        if present.all >= self.max || of_address >= self.max_of_address {
            return None;
        }
        present.all += 1;
        present.by_address.insert(address, of_address + 1);
        Some(Place { admission: Arc::clone(self), address })
    }
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.admission.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.all = present.all.saturating_sub(1);
        if let Some(count) = present.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                present.by_address.remove(&self.address);
            }
        }
    }
}

/// What is counted outside the driver's task.
const TALLIED: [Counter; 8] = [
    Counter::ConnectionsAccepted,
    Counter::ConnectionsOpened,
    Counter::DroppedConnections,
    Counter::ClosedHandshake,
    Counter::ClosedSlow,
    Counter::ClosedIdle,
    Counter::ClosedDeaf,
    Counter::KeepAlives,
];

/// Counts that wait for the endpoint.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; TALLIED.len()]);

impl Tally {
    /// Counts one of [`TALLIED`].
    pub(super) fn count(&self, counter: Counter) {
        let counts = TALLIED.iter().zip(&self.0);
        for (_, count) in counts.filter(|(tallied, _)| **tallied == counter) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over what was counted since the last time.
    pub(super) fn take(&self, mut count: impl FnMut(Counter)) {
        for (counter, waiting) in TALLIED.iter().zip(&self.0) {
            for _ in 0..waiting.swap(0, Ordering::Relaxed) {
                count(*counter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_by_address_and_come_back() {
        let settings =
            StreamSettings { max_connections: 3, max_connections_of_address: 2, ..StreamSettings::default() };
        let admission = Admission::new(&settings);
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = admission.admit(one).unwrap();
        let _second = admission.admit("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(admission.admit(one).is_none(), "its share is used up");
        let _third = admission.admit(other).unwrap();
        assert!(admission.admit(other).is_none(), "all are used up");
        drop(first);
        assert!(admission.admit(one).is_some());
        assert_eq!(admission.present.lock().unwrap().by_address.len(), 2);
    }
}
