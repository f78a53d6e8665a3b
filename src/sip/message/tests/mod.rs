//! Tests of the room as a whole; what belongs to one file is tested there.

mod fields;
mod oracles;
mod properties;
mod torture;
mod writer;

/// The INVITE of a call to 130 as a trunk sends it.
pub(super) const INVITE: &[u8] = b"INVITE sip:130@192.0.2.10:5060;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-524287-1---1f1c8b4b;rport\r\n\
Max-Forwards: 70\r\n\
Record-Route: <sip:192.0.2.1;lr;ftag=8a1f>\r\n\
From: \"Arta\" <sip:+355672123456@ims.example.al;user=phone>;tag=8a1f27\r\n\
To: <sip:130@192.0.2.10;user=phone>\r\n\
Call-ID: 4f3a9c2e-77b1@192.0.2.1\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:+355672123456@192.0.2.1:5060;transport=udp>\r\n\
P-Asserted-Identity: <sip:+355672123456@ims.example.al;user=phone>, <tel:+355672123456>\r\n\
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE\r\n\
Supported: 100rel, timer\r\n\
User-Agent: Border/7.2\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 174\r\n\
\r\n\
v=0\r\n\
o=- 20518 0 IN IP4 192.0.2.1\r\n\
s=-\r\n\
c=IN IP4 192.0.2.1\r\n\
t=0 0\r\n\
m=audio 40000 RTP/AVP 8 0 101\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\n\
a=ptime:20\r\n\
a=sendrecv\r\n";
