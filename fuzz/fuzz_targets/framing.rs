//! Any octets as a stream, in pieces: the pieces make no difference, and nothing is held beyond the limits.
#![no_main]

use klikon::sip::framing::MAX_HEADER_OCTETS;
use klikon::sip::message::{MAX_MESSAGE_OCTETS, Message};
use klikon::sip::{Broken, Frame, Framer, FramingLimits};
use klikon::units::clock::Clock;
use libfuzzer_sys::fuzz_target;

// The first octet is the length of the pieces.
fuzz_target!(|input: &[u8]| {
    let [length, stream @ ..] = input else { return };
    let length = usize::from(*length).max(1);
    let whole = read(std::iter::once(stream));
    assert_eq!(whole, read(stream.chunks(length)), "pieces of {length} octets");
    for frame in &whole.0 {
        let Frame::Message(octets) = frame else { continue };
        assert!(octets.len() <= MAX_MESSAGE_OCTETS);
        let message = Message::parse(octets).expect("a message of a stream can be read");
        let length = message.content_length().expect("it says its length").expect("there");
        assert_eq!(u32::try_from(message.body().len()), Ok(length));
    }
});

/// All that comes out of a stream that comes in these pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Broken>) {
    let limits = FramingLimits { max_body_octets: 1_000, ..FramingLimits::default() };
    let mut framer = Framer::new(limits);
    let now = Clock::system().instant();
    let mut frames = vec![];
    for piece in pieces {
        framer.receive(now, piece);
        while let Some(frame) = framer.next() {
            match frame {
                Ok(frame) => frames.push(frame),
                Err(broken) => return (frames, Some(broken)),
            }
        }
        assert!(framer.held_octets() <= MAX_HEADER_OCTETS + limits.max_body_octets + piece.len());
    }
    (frames, None)
}
