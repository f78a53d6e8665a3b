//! Any octets to the reader of session descriptions, as an offer and as an answer.
#![no_main]

use klikon::sdp::{Capabilities, Description, Offer, accept_answer, negotiate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let capabilities = Capabilities::new([192, 0, 2, 10].into(), 40_000, 1);
    let _ = accept_answer(&capabilities, octets);
    let Ok(offer) = Offer::parse(octets) else { return };
    let Ok((answer, agreed)) = negotiate(&offer, &capabilities) else { return };
    let answer = Description::parse(&answer).expect("an answer can be read back");
    assert_eq!(answer.media.len(), offer.media.len(), "every media line is answered");
    assert!(capabilities.encodings.contains(&agreed.encoding));
});
