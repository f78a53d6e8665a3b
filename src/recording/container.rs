//! A recording's file: a header, then numbered segments, each sealed by itself, the last one marked (the STREAM construction
//! of Hoang, Reyhanitabar, Rogaway and Vizár, 2015, over AES-256-GCM).
//!
//! ```text
//! header   "klikrec" 1 | kind 0 or 1 | id of the key, 8 octets | salt, 32 random octets
//! segment  length of what follows, 4 octets | content | seal, 16 octets
//! ```
//!
//! The key of a file is derived from the operator's key and the salt, so a nonce only has to differ within the file: seven
//! octets of zero, the segment's number in four, and 1 in the last octet of the last segment. The header is authenticated with each segment. So a
//! segment that was changed, moved, repeated or left out is noticed, and so is an end that is missing. Without a key the seal is a checksum, against accidents only.

use super::key::{KEY_ID_OCTETS, Key, SALT_OCTETS, shown};
use aes_gcm::Aes256Gcm;
use aes_gcm::KeyInit;
use aes_gcm::aead::AeadInOut;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// What every file begins with; the last octet is the version.
const MAGIC: [u8; 8] = *b"klikrec\x01";
/// Octets of the header.
pub const HEADER_OCTETS: usize = MAGIC.len() + 1 + KEY_ID_OCTETS + SALT_OCTETS;
/// Octets of a seal.
const SEAL_OCTETS: usize = 16;
/// Longest content of a segment, octets.
pub const MAX_SEGMENT_OCTETS: usize = 1 << 20;
/// Octets that a segment has beside its content.
pub const SEGMENT_OVERHEAD_OCTETS: usize = 4 + SEAL_OCTETS;

/// Why a file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It does not begin as one.
    #[error("this is no recording of klikon")]
    NoRecording,
    /// It is encrypted, and there is no key.
    #[error(
        "it is encrypted with the key {0}; name the file of that key in `recording.key_file`, or by --key-file"
    )]
    KeyMissing(String),
    /// It is encrypted with another key.
    #[error(
        "it is encrypted with the key {wanted}, and this is {given}; name the file of that key by --key-file"
    )]
    WrongKey {
        /// The id of the file's.
        wanted: String,
        /// Of the one at hand.
        given: String,
    },
    /// A segment is not as it was written.
    #[error("segment {segment} is not as it was written: the file was changed or damaged")]
    Damaged {
        /// Its number, from 0.
        segment: u32,
    },
    /// The file ends within a segment.
    #[error("the file ends in the middle of segment {segment}: it was cut")]
    Cut {
        /// Its number, from 0.
        segment: u32,
    },
    /// The file ends before its last segment.
    #[error("the recording has no end: the service was killed, or the file was cut after segment {segment}")]
    NoEnd {
        /// How many there are.
        segment: u32,
    },
    /// Something stands behind the last segment.
    #[error("something was added behind the recording's end")]
    Added,
    /// It cannot be read at all.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
}

/// Seals and opens segments.
struct Sealer {
    header: [u8; HEADER_OCTETS],
    cipher: Option<Box<Aes256Gcm>>,
}

impl Sealer {
    fn new(header: [u8; HEADER_OCTETS], salt: &[u8; SALT_OCTETS], key: Option<&Key>) -> Self {
        let cipher = key.map(|key| Box::new(Aes256Gcm::new(&key.of_file(salt).into())));
        Self { header, cipher }
    }

    fn nonce(number: u32, last: bool) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        nonce
    }

    /// Encrypts in place; `None` where the cipher refuses, which it does for tens of gigabytes only.
    fn seal(&self, number: u32, last: bool, content: &mut [u8]) -> Option<[u8; SEAL_OCTETS]> {
        let nonce = Self::nonce(number, last);
        match &self.cipher {
            Some(cipher) => {
                let seal = cipher.encrypt_inout_detached(&nonce.into(), &self.header, content.into()).ok()?;
                Some(seal.into())
            }
            None => Some(self.checksum(&nonce, content)),
        }
    }

    /// Whether the segment is as it was sealed; it is then decrypted in place.
    fn open(&self, number: u32, last: bool, content: &mut [u8], seal: [u8; SEAL_OCTETS]) -> bool {
        let nonce = Self::nonce(number, last);
        match &self.cipher {
            Some(cipher) => cipher
                .decrypt_inout_detached(&nonce.into(), &self.header, content.into(), &seal.into())
                .is_ok(),
            None => self.checksum(&nonce, content) == seal,
        }
    }

    fn checksum(&self, nonce: &[u8], content: &[u8]) -> [u8; SEAL_OCTETS] {
        let digest = Sha256::new().chain_update(self.header).chain_update(nonce).chain_update(content);
        let mut checksum = [0; SEAL_OCTETS];
        checksum.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        checksum
    }
}

/// Writes segments.
pub struct Writer<W> {
    out: W,
    sealer: Sealer,
    number: u32,
    octets: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header. No two files may have the same salt.
    pub fn create(mut out: W, key: Option<&Key>, salt: [u8; SALT_OCTETS]) -> io::Result<Self> {
        let id = key.map(Key::id).unwrap_or_default();
        let mut header = [0; HEADER_OCTETS];
        let parts = MAGIC.into_iter().chain([u8::from(key.is_some())]).chain(id).chain(salt);
        header.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        out.write_all(&header)?;
        let octets = HEADER_OCTETS as u64;
        Ok(Self { out, sealer: Sealer::new(header, &salt, key), number: 0, octets })
    }

    /// Seals the content, which it leaves empty, and writes it.
    pub fn segment(&mut self, content: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let number = self.number;
        let seal = self.sealer.seal(number, last, content).filter(|_| content.len() <= MAX_SEGMENT_OCTETS);
        let (Some(seal), Some(next)) = (seal, number.checked_add(1)) else {
            return Err(io::Error::other("a segment is too long"));
        };
        let mut octets = Vec::with_capacity(content.len() + SEGMENT_OVERHEAD_OCTETS);
        octets.extend_from_slice(&((content.len() + SEAL_OCTETS) as u32).to_be_bytes());
        octets.append(content);
        octets.extend_from_slice(&seal);
        self.out.write_all(&octets)?;
        self.octets += octets.len() as u64;
        self.number = next;
        Ok(())
    }

    /// Octets that were written whole: up to here the file is good.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What is written to.
    pub fn get_ref(&self) -> &W {
        &self.out
    }
}

/// Reads segments.
pub struct Reader<R> {
    input: R,
    sealer: Sealer,
    number: u32,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub fn open(mut input: R, key: Option<&Key>) -> Result<Self, ReadError> {
        let mut header = [0; HEADER_OCTETS];
        input.read_exact(&mut header).map_err(|_| ReadError::NoRecording)?;
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC || rest[0] > 1 {
            return Err(ReadError::NoRecording);
        }
        let (mut id, mut salt) = ([0; KEY_ID_OCTETS], [0; SALT_OCTETS]);
        id.copy_from_slice(&rest[1..=KEY_ID_OCTETS]);
        salt.copy_from_slice(&rest[1 + KEY_ID_OCTETS..]);
        let key = match (rest[0], key) {
            (0, _) => None,
            (_, None) => return Err(ReadError::KeyMissing(shown(&id))),
            (_, Some(key)) if key.id() != id => {
                return Err(ReadError::WrongKey { wanted: shown(&id), given: shown(&key.id()) });
            }
            (_, Some(key)) => Some(key),
        };
        Ok(Self { input, sealer: Sealer::new(header, &salt, key), number: 0, ended: false })
    }

    /// Whether its content is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.sealer.cipher.is_some()
    }

    /// The next segment's content; `None` after the last one.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let segment = self.number;
        let mut length = [0; 4];
        match read_up_to(&mut self.input, &mut length)? {
            0 if self.ended => return Ok(None),
            _ if self.ended => return Err(ReadError::Added),
            0 => return Err(ReadError::NoEnd { segment }),
            4 => {}
            _ => return Err(ReadError::Cut { segment }),
        }
        let length = u32::from_be_bytes(length) as usize;
        if !(SEAL_OCTETS..=MAX_SEGMENT_OCTETS + SEAL_OCTETS).contains(&length) {
            return Err(ReadError::Damaged { segment });
        }
        let mut content = vec![0; length];
        if read_up_to(&mut self.input, &mut content)? < length {
            return Err(ReadError::Cut { segment });
        }
        let mut seal = [0; SEAL_OCTETS];
        seal.copy_from_slice(&content[length - SEAL_OCTETS..]);
        content.truncate(length - SEAL_OCTETS);
        // Decryption leaves nothing behind where it fails.
        let sealed = content.clone();
        if !self.sealer.open(segment, false, &mut content, seal) {
            content = sealed;
            if !self.sealer.open(segment, true, &mut content, seal) {
                return Err(ReadError::Damaged { segment });
            }
            self.ended = true;
        }
        self.number = segment.saturating_add(1);
        Ok(Some(content))
    }
}

/// Reads until the buffer is full or the input ends; how many octets.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: Option<&Key>, salt: u8, contents: &[&[u8]], ends: bool) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut writer = Writer::create(&mut octets, key, [salt; SALT_OCTETS]).unwrap();
        for (number, content) in contents.iter().enumerate() {
            let last = ends && number + 1 == contents.len();
            writer.segment(&mut content.to_vec(), last).unwrap();
        }
        let count = writer.octets();
        assert_eq!(count, octets.len() as u64);
        octets
    }

    fn read(octets: &[u8], key: Option<&Key>) -> (Vec<Vec<u8>>, Result<(), ReadError>) {
        let mut contents = Vec::new();
        let mut reader = match Reader::open(octets, key) {
            Ok(reader) => reader,
            Err(error) => return (contents, Err(error)),
        };
        loop {
            match reader.next() {
                Ok(Some(content)) => contents.push(content),
                Ok(None) => return (contents, Ok(())),
                Err(error) => return (contents, Err(error)),
            }
        }
    }

    const CONTENTS: [&[u8]; 3] = [b"for Super 700", b"", b"press 1"];

    #[test]
    fn what_is_sealed_is_read_and_nothing_of_it_shows() {
        let key = Key::new([7; 32]);
        for key in [None, Some(&key)] {
            let octets = written(key, 3, &CONTENTS, true);
            let (contents, end) = read(&octets, key);
            end.unwrap();
            assert_eq!(contents, CONTENTS);
            let shows = octets.windows(9).any(|window| window == b"Super 700");
            assert_eq!(shows, key.is_none());
        }
        let (one, other) = (written(Some(&key), 3, &CONTENTS, true), written(Some(&key), 4, &CONTENTS, true));
        assert_ne!(one[HEADER_OCTETS..], other[HEADER_OCTETS..], "no two files share a keystream");
    }

    /// Each bit of the file, header and lengths too.
    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let key = Key::new([7; 32]);
        for key in [None, Some(&key)] {
            let octets = written(key, 3, &CONTENTS, true);
            for bit in 0..octets.len() * 8 {
                let mut flipped = octets.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let (contents, end) = read(&flipped, key);
                assert!(end.is_err(), "bit {bit}");
                assert!(contents.iter().zip(CONTENTS).all(|(read, written)| read == written), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_cut_tail_and_one_that_never_came_are_noticed() {
        let key = Key::new([7; 32]);
        let octets = written(Some(&key), 3, &CONTENTS, true);
        for length in HEADER_OCTETS..octets.len() {
            let (_, end) = read(&octets[..length], Some(&key));
            assert!(matches!(end, Err(ReadError::Cut { .. } | ReadError::NoEnd { .. })), "{length}: {end:?}");
        }
        let (contents, end) = read(&written(Some(&key), 3, &CONTENTS, false), Some(&key));
        assert_eq!(contents, CONTENTS, "all that was written is there");
        assert!(matches!(end, Err(ReadError::NoEnd { segment: 3 })));
        let (_, end) = read(&[octets.as_slice(), b"x"].concat(), Some(&key));
        assert!(matches!(end, Err(ReadError::Added)));
    }

    #[test]
    fn segments_of_one_file_cannot_change_places_nor_files() {
        let key = Key::new([7; 32]);
        let octets = written(Some(&key), 3, &[b"one", b"two", b"end"], true);
        let (header, segments) = octets.split_at(HEADER_OCTETS);
        let segments: Vec<&[u8]> = segments.chunks(3 + SEGMENT_OVERHEAD_OCTETS).collect();
        let another = written(Some(&key), 4, &[b"one", b"two", b"end"], true);
        let foreign = &another[HEADER_OCTETS..HEADER_OCTETS + 3 + SEGMENT_OVERHEAD_OCTETS];
        for order in [
            [segments[1], segments[0]],
            [segments[0], segments[0]],
            [segments[0], segments[2]],
            [foreign, segments[1]],
        ] {
            let (_, end) = read(&[header, &order.concat()].concat(), Some(&key));
            assert!(matches!(end, Err(ReadError::Damaged { .. })), "{end:?}");
        }
    }

    #[test]
    fn another_key_and_none_are_said() {
        let (key, other) = (Key::new([7; 32]), Key::new([8; 32]));
        let octets = written(Some(&key), 3, &CONTENTS, true);
        let (_, end) = read(&octets, Some(&other));
        let said = end.unwrap_err().to_string();
        assert!(said.contains(&shown(&key.id())) && said.contains(&shown(&other.id())), "{said}");
        assert!(matches!(read(&octets, None).1, Err(ReadError::KeyMissing(_))));
        for octets in [&b"RIFF"[..], &[0; 200]] {
            assert!(matches!(read(octets, None).1, Err(ReadError::NoRecording)));
        }
    }
}
