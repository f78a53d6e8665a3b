//! Messages to read, and what is done to them: everything follows from a seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::Path;

/// What a SIPp caller, a PBX and an IMS core send, besides RFC 4475's messages.
const MORE: [&str; 7] = [
    "INVITE sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5061;branch=z9hG4bK-1-1-0\r\n\
     From: sipp <sip:sipp@192.0.2.9:5061>;tag=1SIPpTag001\r\nTo: 130 <sip:130@192.0.2.1:5060>\r\n\
     Call-ID: 1-1@192.0.2.9\r\nCSeq: 1 INVITE\r\nContact: sip:sipp@192.0.2.9:5061\r\nMax-Forwards: 70\r\n\
     Subject: Performance Test\r\nContent-Type: application/sdp\r\nContent-Length:   129\r\n\r\n\
     v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
     m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
    "ACK sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5061;branch=z9hG4bK-1-1-5\r\n\
     From: sipp <sip:sipp@192.0.2.9:5061>;tag=1SIPpTag001\r\nTo: 130 <sip:130@192.0.2.1:5060>;tag=77\r\n\
     Call-ID: 1-1@192.0.2.9\r\nCSeq: 1 ACK\r\nContact: sip:sipp@192.0.2.9:5061\r\nMax-Forwards: 70\r\n\
     Content-Length: 0\r\n\r\n",
    "INVITE tel:130;phone-context=+355 SIP/2.0\r\nv: SIP/2.0/TCP [2001:db8::9]:5060;branch=z9hG4bKims;rport\r\n\
     Max-Forwards: 66\r\nRoute: <sip:as.example.al;lr>, <sip:orig@scscf.example.al:5070;lr;x=\"a,b\">\r\n\
     Record-Route: <sip:scscf.example.al;lr>\r\nf: \"Arta \\\"A\\\" Hoxha\" <sip:+355691234567@ims.example.al;user=phone>;tag=ab\r\n\
     t: <tel:130;phone-context=+355>\r\ni: ims-1\r\nCSeq: 4294967 INVITE\r\n\
     m: <sip:+355691234567@[2001:db8::9]:5060;transport=tcp>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\r\n\
     P-Asserted-Identity: <sip:+355691234567@ims.example.al>, <tel:+355691234567>\r\nPrivacy: none\r\n\
     P-Charging-Vector: icid-value=\"x;y\";orig-ioi=example.al\r\nk: 100rel, timer\r\nSession-Expires: 1800;refresher=uac\r\n\
     Allow: INVITE, ACK, CANCEL, BYE, UPDATE, PRACK\r\nAccept: application/sdp, application/3gpp-ims+xml\r\n\
     c: application/sdp\r\nl: 5\r\n\r\nv=0\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef;rport=5060;received=192.0.2.1\r\n\
     From: <sip:130@192.0.2.1>;tag=0123456789abcdef0123456789abcdef\r\nTo: <sip:+355691234567@192.0.2.9>;tag=as58f4201b\r\n\
     Call-ID: 5f1c@192.0.2.1\r\nCSeq: 102 BYE\r\nServer: PBX 1.0 (x; y)\r\nRetry-After: 5 (soon);duration=3600\r\n\
     Date: Thu, 21 Feb 2002 13:02:03 GMT\r\nContent-Length: 0\r\n\r\n",
    "OPTIONS sip:130@example.al SIP/2.0\r\nVia: SIP/2.0/UDP pbx.example.al;branch=z9hG4bKopt\r\nMax-Forwards: 70\r\n\
     From: \"PBX\" <sip:pbx@example.al>;tag=o1\r\nTo: <sip:130@example.al>\r\nContact: <sip:pbx@192.0.2.9:5060>\r\n\
     Call-ID: opt@192.0.2.9\r\nCSeq: 102 OPTIONS\r\nUser-Agent: PBX\r\nSupported: replaces,\r\n timer\r\nContent-Length: 0\r\n\r\n",
    "CANCEL sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKc\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\n\
     To: <sip:130@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 CANCEL\r\nMax-Forwards: 70\r\nReason: SIP;cause=200;text=\"x\"\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 180 Ringing\r\nv:SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKr\r\nf:<sip:a@192.0.2.9>;tag=1\r\nt:<sip:130@192.0.2.1>;tag=2\r\n\
     i:c\r\nCSeq:1 INVITE\r\nm:<sip:130@192.0.2.1:5060>\r\nRequire: 100rel\r\nRSeq: 1\r\nl:0\r\n\r\n",
];

/// Octets that mean something to a reader of SIP.
const TELLING: &[u8] = b"\r\n \t:;,<>\"\\@?=%/()[]{}*0-9zG\0\x7f\xc3\xff";

/// Pieces that have misled readers.
const PIECES: [&[u8]; 20] = [
    b"\r\n\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b"Content-Length: 0\r\n",
    b"l: 5\r\n",
    b"Via: SIP/2.0/UDP a\r\n",
    b"CSeq: 2147483648 INVITE\r\n",
    b"4294967296",
    b"99999999999999999999",
    b"SIP/2.0",
    b"sip:a@b",
    b";tag=",
    b";branch=z9hG4bK",
    b"\"",
    b"%00",
    b"[::1]",
    b"<>",
    b"Max-Forwards: 256\r\n",
    b"Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n",
];

/// The messages that are changed: those of `sip-tests/` and those above.
pub fn bases() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-tests");
    let mut paths: Vec<_> = ["torture", "torture-ipv6", "messages"]
        .iter()
        .filter_map(|name| std::fs::read_dir(folder.join(name)).ok())
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat" || extension == "sip"))
        .collect();
    paths.sort();
    let mut bases: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("a message")).collect();
    bases.extend(MORE.iter().map(|text| text.as_bytes().to_vec()));
    bases
}

pub struct Mutator {
    random: StdRng,
    bases: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), bases: bases() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.next_u64()).unwrap_or(usize::MAX) % bound.max(1)
    }

    /// The next message: a base with one to three changes.
    pub fn message(&mut self) -> Vec<u8> {
        let base = self.below(self.bases.len());
        let mut octets = self.bases[base].clone();
        for _ in 0..=self.below(3) {
            self.change(&mut octets);
        }
        octets
    }

    fn change(&mut self, octets: &mut Vec<u8>) {
        let at = self.below(octets.len());
        let to = (at + 1 + self.below(24)).min(octets.len());
        match self.below(12) {
            0 => set(octets, at, u8::try_from(self.below(256)).expect("an octet")),
            1 | 2 => set(octets, at, TELLING[self.below(TELLING.len())]),
            3 => octets.insert(at, TELLING[self.below(TELLING.len())]),
            4 => drop(octets.drain(at..to)),
            5 => {
                let again = octets[at..to].to_vec();
                octets.splice(at..at, again);
            }
            6 => octets.truncate(at),
            7 | 8 => self.change_lines(octets),
            9 => {
                let piece = PIECES[self.below(PIECES.len())];
                octets.splice(at..at, piece.iter().copied());
            }
            10 => {
                let other = self.below(self.bases.len());
                let from = self.below(self.bases[other].len());
                let piece: Vec<u8> = self.bases[other].iter().skip(from).take(40).copied().collect();
                octets.splice(at..at, piece);
            }
            _ => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= 0x20;
                }
            }
        }
    }

    /// Repeats, removes or swaps whole lines.
    fn change_lines(&mut self, octets: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            octets.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
        let (one, two) = (self.below(lines.len()), self.below(lines.len()));
        if lines.len() < 2 {
            return;
        }
        match self.below(3) {
            0 => lines.insert(two, lines[one].clone()),
            1 => drop(lines.remove(one)),
            _ => lines.swap(one, two),
        }
        *octets = lines.concat();
    }
}

fn set(octets: &mut [u8], at: usize, to: u8) {
    if let Some(octet) = octets.get_mut(at) {
        *octet = to;
    }
}
