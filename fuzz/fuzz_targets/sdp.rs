//! Any octets to the reader of session descriptions, as an offer and as an answer.
#![no_main]

use klikon::sdp::{Capabilities, Codecs, Description, Offer, accept_answer, negotiate};
use klikon::units::rtp::Encoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let codecs = Codecs::new(Encoding::ALL.to_vec());
    let capabilities = Capabilities::new([192, 0, 2, 10].into(), 40_000, 1).with(codecs);
    let _ = accept_answer(&capabilities, octets);
    let Ok(offer) = Offer::parse(octets) else { return };
    let Ok((answer, agreed)) = negotiate(&offer, &capabilities) else { return };
    let answer = Description::parse(&answer).expect("an answer can be read back");
    assert_eq!(answer.media.len(), offer.media.len(), "every media line is answered");
    assert!(capabilities.codecs.encodings.contains(&agreed.encoding));
    assert_eq!(agreed.ptime_ms % agreed.encoding.packet_step_ms(), 0);
    assert_eq!(agreed.amr.is_some(), matches!(agreed.encoding, Encoding::Amr | Encoding::AmrWb));
});
