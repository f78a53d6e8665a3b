//! Where a call's keys come from: the stream or INFO, and one of them only.
//!
//! Within the stream it is the session description that says: named events where they are agreed (RFC 4733), tones in the
//! audio only where they are not (`media::tone`). Gateways send one press both ways at once. So the first source that brings a key is the call's, and the other one is
//! passed over, until a change of the session takes telephone-event away or brings it.

/// A way by which keys come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySource {
    /// The RTP stream: telephone-event, or tones where none was agreed on.
    Stream,
    /// INFO requests.
    Info,
}

/// The source that counts in a call.
#[derive(Debug, Default)]
pub(super) struct ChosenSource(Option<KeySource>);

impl ChosenSource {
    /// A key came by `source`: whether it counts.
    pub(super) fn admits(&mut self, source: KeySource) -> bool {
        *self.0.get_or_insert(source) == source
    }

    /// Whether keys come by another way than the stream.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.0 == Some(KeySource::Info)
    }

    /// The next key chooses anew.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_source_that_brings_a_key_is_the_calls() {
        for (first, other) in [(KeySource::Stream, KeySource::Info), (KeySource::Info, KeySource::Stream)] {
            let mut source = ChosenSource::default();
            assert!(!source.is_elsewhere());
            assert!(source.admits(first) && !source.admits(other) && source.admits(first));
            assert_eq!(source.is_elsewhere(), first == KeySource::Info);
            source.release();
            assert!(source.admits(other) && !source.admits(first));
        }
    }
}
