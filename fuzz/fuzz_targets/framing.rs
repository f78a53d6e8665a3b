//! Any octets, in any pieces, to the reader of streams: the first octet says how long the pieces are.
#![no_main]

use klikon::sip::framing::MAX_HEADER_OCTETS;
use klikon::sip::message::Message;
use klikon::sip::{Broken, Frame, Framer, FramingLimits};
use klikon::units::clock::Clock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((size, stream)) = input.split_first() else { return };
    let whole = read([stream]);
    let pieces = read(stream.chunks(usize::from(*size).max(1)));
    assert_eq!(pieces, whole, "a split made another stream of it");
    for frame in &whole.0 {
        let Frame::Message(bytes) = frame else { continue };
        let message = Message::parse(bytes).expect("a whole message reads");
        assert_eq!(message.content_length().ok().flatten().map(|octets| octets as usize), Some(message.body().len()));
    }
});

/// The frames of a stream, and why it could not be read on.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Broken>) {
    let limits = FramingLimits::default();
    let (mut framer, now) = (Framer::new(limits), Clock::system().instant());
    let (mut frames, mut broken) = (Vec::new(), None);
    for piece in pieces {
        framer.receive(now, piece);
        while let Some(frame) = framer.next() {
            match frame {
                Ok(frame) => frames.push(frame),
                Err(error) => broken = Some(error),
            }
        }
        assert!(framer.held_octets() <= MAX_HEADER_OCTETS + limits.max_body_octets, "{}", framer.held_octets());
    }
    (frames, broken)
}
