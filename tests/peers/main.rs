//! Real peers from their packages: proxies, softphones and scanners, against `klikon serve`.

#[path = "../service/mod.rs"]
mod service;

#[path = "../kamailio/mod.rs"]
mod kamailio;

#[path = "../authority/mod.rs"]
mod authority;

mod caller;
#[path = "../correlation/mod.rs"]
mod correlation;

mod recipe;
mod scanner;
mod softphone;
mod tls;

use caller::Caller;
use kamailio::Kamailio;
use service::{Service, text};
use softphone::{Baresip, Linphone, loud_s};
use std::path::Path;
use std::process::{Child, Output, Stdio};

const LEADER: &str = "0672003456";

/// A node that answers 130 with a flow that plays until the caller hangs up.
fn endless() -> Service {
    Service::start_with("numbers = { 130 = \"line-test\" }\n[calls]\ndrain_s = 60\n")
}

/// Calls 130 at the proxy, in the background.
fn call(knows_prompts: &Service, proxy: &Kamailio, arguments: &[&str]) -> Child {
    let uri = format!("sip:130@127.0.0.1:{}", proxy.port);
    let mut command = knows_prompts.caller(&uri, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end, which must be a good one. Gives what it printed.
fn ended_well(call: Child) -> String {
    let output = call.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    said
}

/// A call of a moment, which this node gets: its end finds its way, too. It may end before the conversation has begun.
fn calls_once(node: &Service, proxy: &Kamailio) {
    Caller::start("hangs-up.xml", proxy).ended_well();
    assert!(node.line("\"event\":\"ended\"").contains("caller-hung-up"));
}

/// The proxy itself refuses: no node takes calls.
fn is_refused(call: &Output) {
    assert!(text(&call.stderr).contains("the call was refused: 503"), "{}", text(&call.stderr));
}

/// Keys for a prompt that never comes: who has keys left does not hang up himself.
const WAITS: [&str; 2] = ["--keys", "please-wait:1"];

/// Waits for the end of a call of one who [`WAITS`]: the service says goodbye, and ends it.
fn heard_goodbye(call: Child) {
    let said = text(&call.wait_with_output().unwrap().stdout);
    assert!(said.contains("hears `goodbye`") && said.contains("the far end hung up"), "{said}");
}

/// What books Super 1100 for a member, key by key, and leaves.
const BOOKS: [&str; 12] = [
    "--barge-in-after-ms",
    "0",
    "--keys",
    "0672123456#",
    "--keys",
    "choose-package:2",
    "--keys",
    "confirm-keys:1",
    "--keys",
    "another-keys:2",
    "--expect",
    "goodbye",
];

#[test]
fn a_leader_books_through_kamailio() {
    let service = Service::start_with("calls.activation_wait_ms = 0\n");
    let proxy = recipe::start(std::slice::from_ref(&service.address), &["127.0.0.1"]);
    ended_well(call(&service, &proxy, &[&["--identity", LEADER][..], &BOOKS].concat()));
    assert!(service.line("\"event\":\"answered\"").contains("•••3456"));
    assert!(service.line("\"event\":\"booking\"").contains("accepted"));
    // The service's own BYE finds its way back through the proxy.
    heard_goodbye(call(&service, &proxy, &WAITS));
    service.stop();
}

#[test]
fn kamailio_takes_the_identity_from_whom_it_does_not_trust() {
    let service = Service::start_with("");
    let proxy = recipe::start(std::slice::from_ref(&service.address), &["192.0.2.20"]);
    ended_well(call(&service, &proxy, &["--identity", LEADER, "--expect", "caller-anonymous"]));
    assert!(service.line("\"event\":\"answered\"").contains("\"caller\":\"anonymous\""));
    service.stop();
}

/// Two nodes behind a proxy.
fn two_nodes() -> (Service, Service, Kamailio) {
    let (one, other) = (endless(), endless());
    let proxy = recipe::start(&[one.address.clone(), other.address.clone()], &["127.0.0.1"]);
    (one, other, proxy)
}

/// Two calls in a row: in turn, at least one of them would be that of a node which takes none.
fn calls_twice(node: &Service, proxy: &Kamailio) {
    (0..2).for_each(|_| calls_once(node, proxy));
}

/// One node stops while both have a call, which last until their nodes say goodbye; the other gets the new calls.
/// `stopping` waits for what the proxy is to know first.
fn drains(one: Service, other: Service, proxy: &Kamailio, stopping: impl FnOnce(&Service)) {
    let held = [&one, &other].map(|node| call(node, proxy, &[&["--timeout-s", "100"][..], &WAITS].concat()));
    one.line("\"event\":\"answered\"");
    other.line("\"event\":\"answered\"");
    one.signal("TERM");
    one.log_line("stopping; 1 calls under way");
    stopping(&one);
    calls_twice(&other, proxy);
    // Its call has lasted all the while; a second signal ends it with goodbye.
    one.signal("TERM");
    one.ended();
    other.signal("TERM");
    other.log_line("stopping; 1 calls under way");
    other.signal("TERM");
    other.ended();
    held.into_iter().for_each(heard_goodbye);
}

#[test]
fn a_lost_node_s_calls_go_to_the_other() {
    let (one, other, proxy) = two_nodes();
    one.signal("KILL");
    calls_twice(&other, &proxy);
    other.stop();
}

#[test]
fn a_node_that_says_nothing_any_more_loses_its_turn() {
    let (one, other, proxy) = two_nodes();
    one.signal("STOP");
    calls_twice(&other, &proxy);
    other.stop();
}

#[test]
fn a_node_that_drains_keeps_its_calls_and_the_other_gets_the_new_ones() {
    let (one, other, proxy) = two_nodes();
    drains(one, other, &proxy, |_| ());
}

#[test]
fn kamailio_finds_by_options_that_a_node_drains() {
    let service = endless();
    let proxy = recipe::start(std::slice::from_ref(&service.address), &["127.0.0.1"]);
    let held = call(&service, &proxy, &[&["--timeout-s", "100"][..], &WAITS].concat());
    service.line("\"event\":\"answered\"");
    service.signal("TERM");
    proxy.log_line(&format!("the node sip:{} takes no calls", service.address));
    // Without a node that takes calls the proxy itself refuses.
    is_refused(&call(&service, &proxy, &["--timeout-s", "100"]).wait_with_output().unwrap());
    service.signal("TERM");
    service.ended();
    heard_goodbye(held);
}

/// A service that believes a softphone's From: a test bench.
fn test_bench() -> Service {
    Service::start_with(
        "peers = [{ name = \"softphone\", addresses = [\"127.0.0.0/8\"], identity = \"from\" }]\n",
    )
}

/// A call in which the leader keys a member's number, hears the packages and leaves. `key` presses keys.
fn keys_and_leaves(service: &Service, mut key: impl FnMut(&str)) {
    assert!(service.line("\"event\":\"answered\"").contains("•••3456"));
    service.line("\"node\":\"ask-member-number\"");
    key("0672123456#");
    assert!(service.line("\"name\":\"member\"").contains("\"outcome\":\"member\""));
    service.line("\"node\":\"choose-package\"");
    key("9");
    assert!(service.line("\"event\":\"ended\"").contains("\"cause\":\"goodbye\""));
}

#[test]
fn baresip_phones_and_keys() {
    let service = test_bench();
    let mut phone = Baresip::start(LEADER, "", "");
    phone.order("dial", &format!("sip:130@{}", service.address));
    phone.wait_for("CALL_ESTABLISHED");
    keys_and_leaves(&service, |keys| phone.order("sndcode", keys));
    phone.wait_for("CALL_CLOSED");
    let heard = loud_s(&phone.heard());
    assert!(heard > 0.5, "{heard} s of sound were heard");
    service.stop();
}

/// A service whose line test says a real prompt, in these codecs.
fn speaking(codecs: &str) -> Service {
    let folder = service::folder_with(&format!(
        "numbers = {{ 130 = \"line-test\" }}\nmedia.codecs = [{codecs}]\n\
         peers = [{{ name = \"softphone\", addresses = [\"127.0.0.0/8\"], identity = \"from\" }}]\n"
    ));
    std::fs::copy(service::repository().join(SPOKEN), folder.path().join("prompts/sq/line-test.wav"))
        .unwrap();
    Service::start_in(folder)
}

/// What it says.
const SPOKEN: &str = "prompts/sq/welcome.wav";

/// Phones with a codec; how well what was heard fits what was said.
fn fit_in_call(service: &Service, codec: &str, settings: &str) -> f64 {
    let mut phone = Baresip::start_with(codec, LEADER, settings, "");
    phone.order("dial", &format!("sip:130@{}", service.address));
    phone.wait_for("CALL_ESTABLISHED");
    assert!(service.line("\"event\":\"answered\"").contains("•••3456"));
    // The second time it is said, the first is over.
    service.line("\"event\":\"say\"");
    service.line("\"event\":\"say\"");
    phone.order("hangup", "");
    phone.wait_for("CALL_CLOSED");
    let master = correlation::read_wav(&service::repository().join(SPOKEN));
    correlation::best_fit(&master, &correlation::read_wav(&phone.heard())).1
}

#[test]
fn baresip_hears_the_prompt_in_g722() {
    let service = speaking("\"G722\", \"PCMA\"");
    let fit = fit_in_call(&service, "G722/16000/1", "module g722.so\n");
    assert!(fit > 0.95, "{fit}");
    service.stop();
}

#[cfg(feature = "opus")]
#[test]
fn baresip_hears_the_prompt_in_opus() {
    let service = speaking("\"opus\", \"PCMA\"");
    let fit = fit_in_call(&service, "opus/48000/2", "module opus.so\n");
    assert!(fit > 0.85, "{fit}");
    service.stop();
}

#[cfg(feature = "amr")]
#[test]
fn baresip_hears_the_prompt_in_amr_and_amr_wb() {
    let service = speaking("\"AMR-WB\", \"AMR\"");
    for codec in ["AMR/8000/1", "AMR-WB/16000/1"] {
        let fit = fit_in_call(&service, codec, "module amr.so\n");
        assert!(fit > 0.80, "{codec}: {fit}");
    }
    service.stop();
}

/// Settings of a test bench that listens on TLS too, with a certificate in `folder`.
fn over_tls(folder: &Path) -> String {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("klikon.pem"), folder.join("klikon.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    format!(
        "peers = [{{ name = \"softphone\", addresses = [\"127.0.0.0/8\"], identity = \"from\" }}]\n\
         [sip]\nlisten = [\"udp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n\
         [tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
    )
}

/// A phone that takes no media but SRTP, in a call of `called` over TLS.
fn phone_through_srtp(service: &Service, called: &str) -> Baresip {
    let address = service.listening.iter().find_map(|one| one.strip_prefix("tls ")).unwrap();
    let settings = "module srtp.so\nsip_verify_server no\n";
    let mut phone = Baresip::start(LEADER, settings, ";mediaenc=srtp-mand");
    phone.order("dial", &format!("sip:{called}@{address};transport=tls"));
    phone.wait_for("CALL_ESTABLISHED");
    phone
}

#[test]
fn baresip_hears_the_prompt_through_srtp() {
    let certificates = tempfile::tempdir().unwrap();
    let folder = service::folder_with(&over_tls(certificates.path()));
    std::fs::copy(service::repository().join(SPOKEN), folder.path().join("prompts/sq/line-test.wav"))
        .unwrap();
    let service = Service::start_in(folder);
    let mut phone = phone_through_srtp(&service, "131");
    // The second time it is said, the first is over.
    service.line("\"event\":\"say\"");
    service.line("\"event\":\"say\"");
    phone.order("hangup", "");
    phone.wait_for("CALL_CLOSED");
    let master = correlation::read_wav(&service::repository().join(SPOKEN));
    let fit = correlation::best_fit(&master, &correlation::read_wav(&phone.heard())).1;
    assert!(fit > 0.95, "{fit}");
    let said = service.log_line("rtp sent=");
    assert!(said.contains("srtp=\"AES_CM_128_HMAC_SHA1_80\""), "{said}");
    service.stop();
}

#[test]
fn baresip_keys_through_srtp() {
    let certificates = tempfile::tempdir().unwrap();
    let service = Service::start_with(&over_tls(certificates.path()));
    let mut phone = phone_through_srtp(&service, "130");
    keys_and_leaves(&service, |keys| phone.order("sndcode", keys));
    phone.wait_for("CALL_CLOSED");
    service.stop();
}

#[test]
fn linphone_phones_and_keys() {
    let service = test_bench();
    let mut phone = Linphone::start(LEADER);
    phone.order(&format!("call sip:130@{}", service.address));
    keys_and_leaves(&service, |keys| keys.chars().for_each(|key| phone.order(&key.to_string())));
    phone.quit();
    let heard = loud_s(&phone.heard());
    assert!(heard > 0.5, "{heard} s of sound were heard");
    service.stop();
}
