//! Querying for capabilities (`SIP_QC_TE`): OPTIONS.

use super::*;

fn asked() -> (String, String) {
    let options = request("OPTIONS", "", "");
    let told = answer(&mut Bench::new(), &options);
    (options, told)
}

/// §11.2, §8.2: OPTIONS is answered as an INVITE would be.
#[test]
fn sip_qc_te_v_001() {
    assert_eq!(status(&asked().1), 200);
    let mut bench = Bench::new();
    bench.endpoint.set_service_state(ServiceState::Refusing { retry_after_s: 5 });
    let options = answer(&mut bench, request("OPTIONS", "", ""));
    let invite = answer(&mut bench, invite(Some(SDP)));
    assert_eq!((status(&options), status(&invite)), (503, 503));
}

/// §11.2, §8.2.6.2: the answer has the fields of its request.
#[test]
fn sip_qc_te_v_002() {
    let (options, told) = asked();
    assert_copied(&options, &told);
}

/// §11.2, §8.2.6.2: its To has a tag, the same in every copy.
#[test]
fn sip_qc_te_v_003() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", "", "");
    let told = answer(&mut bench, &options);
    assert!(field(&told, "To").is_some_and(|to| to.contains(";tag=")));
    assert_eq!(answer(&mut bench, &options), told);
}

/// §11.2, §8.2.6.2: every Via comes back, in order.
#[test]
fn sip_qc_te_v_004() {
    let options = request("OPTIONS", "", "")
        .replace("Max-Forwards", "Via: SIP/2.0/UDP p1.example;branch=z9hG4bKa\r\nMax-Forwards");
    assert_copied(&options, &answer(&mut Bench::new(), &options));
}

/// §11.2: the answer tells Allow.
#[test]
fn sip_qc_te_v_005() {
    let (_, told) = asked();
    for method in ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"] {
        assert!(field(&told, "Allow").is_some_and(|allow| allow.contains(method)), "{method}");
    }
}

/// §11.2: it tells Accept.
#[test]
fn sip_qc_te_v_006() {
    assert!(field(&asked().1, "Accept").is_some_and(|accept| accept.contains("application/sdp")));
}

/// §11.2: it tells Accept-Encoding, Accept-Language and Supported.
#[test]
fn sip_qc_te_v_007() {
    let (_, told) = asked();
    for name in ["Accept-Encoding", "Accept-Language", "Supported"] {
        assert!(field(&told, name).is_some(), "{name}");
    }
}
