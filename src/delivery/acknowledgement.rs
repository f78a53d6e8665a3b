//! Reading what the operator's batch drops into `acks/`.

use crate::store::Settlement;
use crate::units::ActivationId;
use serde::Deserialize;

/// Largest acknowledgement read.
pub(super) const ACKNOWLEDGEMENT_OCTETS_MAX: u64 = 16 * 1024;

/// A file in `acks/`, judged by its name and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Acknowledgement {
    /// The network's answer.
    Answer(ActivationId, Settlement),
    /// Not whole: perhaps still being written.
    NotWhole(String),
    /// Whole and of no use.
    Bad(String),
}

#[derive(Deserialize)]
struct Content {
    activation: Option<ActivationId>,
    result: Verdict,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Activated,
    Rejected,
}

/// Judges a file.
pub(super) fn read(name: &str, content: &[u8]) -> Acknowledgement {
    let id = name.strip_suffix(".json").and_then(|stem| stem.parse::<ActivationId>().ok());
    let Some(id) = id else {
        // A batch that writes aside and renames uses such names for a moment.
        return Acknowledgement::NotWhole("the name is not `<activation>.json`".to_owned());
    };
    let parsed: Content = match serde_json::from_slice(content) {
        Ok(parsed) => parsed,
        Err(error) if error.is_data() => return Acknowledgement::Bad(format!("no acknowledgement: {error}")),
        Err(error) => return Acknowledgement::NotWhole(format!("no JSON: {error}")),
    };
    if let Some(other) = parsed.activation.filter(|other| *other != id) {
        return Acknowledgement::Bad(format!("the file is named for {id} and speaks of {other}"));
    }
    let settlement = match parsed.result {
        Verdict::Activated => Settlement::Post,
        Verdict::Rejected => {
            let reason = parsed.reason.filter(|reason| !reason.trim().is_empty());
            Settlement::Void { reason: reason.unwrap_or_else(|| "no reason given".to_owned()) }
        }
    };
    Acknowledgement::Answer(id, settlement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "01936b2a-0000-7000-8000-000000000001";

    fn judged(content: &str) -> Acknowledgement {
        read(&format!("{ID}.json"), content.as_bytes())
    }

    #[test]
    fn reads_both_answers() {
        let id: ActivationId = ID.parse().unwrap();
        let whole = format!(r#"{{"activation":"{ID}","result":"activated","batch":7}}"#);
        assert_eq!(judged(&whole), Acknowledgement::Answer(id, Settlement::Post));
        let void = |reason: &str| Acknowledgement::Answer(id, Settlement::Void { reason: reason.to_owned() });
        assert_eq!(judged(r#"{"result":"rejected","reason":"barred"}"#), void("barred"));
        assert_eq!(judged(r#"{"result":"rejected"}"#), void("no reason given"));
    }

    #[test]
    fn tells_the_half_written_from_the_bad() {
        for half in ["", "{", r#"{"result":"activ"#, "\u{0}", "hello"] {
            assert!(matches!(judged(half), Acknowledgement::NotWhole(_)), "{half}");
        }
        let other = r#"{"activation":"01936b2a-0000-7000-8000-000000000002","result":"activated"}"#;
        for bad in
            ["{}", "[]", "7", r#"{"result":"maybe"}"#, r#"{"activation":"x","result":"activated"}"#, other]
        {
            assert!(matches!(judged(bad), Acknowledgement::Bad(_)), "{bad}");
        }
        let good = br#"{"result":"activated"}"#;
        assert!(matches!(read("notes.txt", good), Acknowledgement::NotWhole(_)));
        assert!(matches!(read("x.json", good), Acknowledgement::NotWhole(_)));
    }

    proptest! {
        #[test]
        fn no_octets_panic(content: Vec<u8>, name in ".{0,60}") {
            let _ = read(&name, &content);
            let _ = read(&format!("{ID}.json"), &content);
        }
    }
}
