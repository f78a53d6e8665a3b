//! Kamailio before nodes that listen on nothing but TLS, and know it by a name in its certificate.

use crate::authority::{Authority, dns, loopback};
use crate::caller::Caller;
use crate::kamailio::Kamailio;
use crate::recipe::{Certificates, start_with_tls};
use crate::service::{Service, text};
use crate::softphone::{Baresip, loud_s};
use crate::{LEADER, call, calls_twice, drains, ended_well, is_refused, keys_and_leaves};
use std::path::PathBuf;
use tempfile::TempDir;

/// The name in the certificate by which nodes know their proxy.
const PROXY: &str = "proxy.example";
/// What a proxy says of its callers in.
const ASSERTED: &str = "p-asserted-identity";

/// One authority for nodes and one for proxies, so that neither can take the other's place.
struct Network {
    /// The certificates, for as long as they are needed.
    _folder: TempDir,
    nodes: Authority,
    proxies: Authority,
}

impl Network {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Authority::new(folder.path(), "nodes-ca");
        let proxies = Authority::new(folder.path(), "proxies-ca");
        Self { _folder: folder, nodes, proxies }
    }

    /// A node that believes this header of its proxy, with these settings besides; its leader is 067 200 3456.
    fn node(&self, identity: &str, settings: &str) -> Service {
        let own = self.nodes.certify("node", vec![dns("node.example"), loopback()]);
        let proxies = self.proxies.file();
        Service::start_with(&format!(
            "sip.listen = [\"tls:127.0.0.1:0\"]\n\
             peers = [{{ name = \"proxy\", certificates = [\"{PROXY}\"], identity = {identity:?} }}]\n\
             tls = {{ certificate = {:?}, key = {:?}, client_ca = {proxies:?}, server_ca = {proxies:?}, \
             client_certificate_required = true }}\n{settings}",
            own.0, own.1
        ))
    }

    /// A node that plays until the caller hangs up.
    fn endless(&self, drain_s: u32) -> Service {
        self.node(ASSERTED, &format!("numbers = {{ 130 = \"line-test\" }}\ncalls.drain_s = {drain_s}\n"))
    }

    /// The proxy with a certificate for `name`; and its port for TLS.
    fn proxy_called(&self, name: &str, nodes: &[&Service]) -> (Kamailio, u16) {
        let own = self.proxies.certify("proxy", vec![dns(name), loopback()]);
        let addresses: Vec<String> = nodes.iter().map(|node| tls_address(node)).collect();
        start_with_tls(&addresses, &Certificates { own: &own, nodes: &self.nodes })
    }

    fn proxy(&self, nodes: &[&Service]) -> (Kamailio, u16) {
        self.proxy_called(PROXY, nodes)
    }

    /// Two nodes behind a proxy.
    fn two_nodes(&self) -> (Service, Service, Kamailio) {
        let (one, other) = (self.endless(60), self.endless(60));
        let (proxy, _) = self.proxy(&[&one, &other]);
        (one, other, proxy)
    }
}

fn tls_address(node: &Service) -> String {
    let [only] = node.listening.as_slice() else { panic!("it listens on {:?}", node.listening) };
    only.strip_prefix("tls ").expect("TLS and nothing else").to_owned()
}

/// Both sides of the proxy are in the route: UDP towards the caller, TLS towards the node.
fn assert_route_is_kept(messages: &str, proxy: &Kamailio, tls_port: u16) {
    let answer = messages.split("SIP/2.0 200 OK").nth(1).expect("an answer");
    let recorded: String =
        answer.lines().filter_map(|line| line.strip_prefix("Record-Route: ")).collect::<Vec<_>>().join(",");
    let by_udp = format!("<sip:127.0.0.1:{};", proxy.port);
    let by_tls = format!("<sip:127.0.0.1:{tls_port};transport=tls;");
    assert!(recorded.contains(&by_udp) && recorded.contains(&by_tls), "{recorded}");
}

#[test]
fn who_hangs_up_first_is_heard_through_kamailio_over_tls() {
    let network = Network::new();
    // The proxy's address is in no range: for the limits, too, it is known by its certificate alone.
    let node = network.node(
        ASSERTED,
        "numbers = { 130 = \"line-test\" }\ncalls.drain_s = 0\noverload.strangers = \"refuse\"\n",
    );
    let (proxy, tls_port) = network.proxy(&[&node]);
    let messages = Caller::start("hangs-up.xml", &proxy).ended_well();
    assert_route_is_kept(&messages, &proxy, tls_port);
    assert!(node.line("\"event\":\"ended\"").contains("caller-hung-up"));
    // And the other way round: the node stops, and says BYE.
    let caller = Caller::start("is-hung-up-on.xml", &proxy);
    // His identity is believed since the proxy's certificate was.
    assert!(node.line("\"event\":\"answered\"").contains("•••3456"));
    node.signal("TERM");
    let messages = caller.ended_well();
    assert_route_is_kept(&messages, &proxy, tls_port);
    node.ended();
}

#[test]
fn a_softphone_keys_through_kamailio_over_tls() {
    let network = Network::new();
    let node = network.node("from", "");
    let (proxy, _) = network.proxy(&[&node]);
    let mut phone = Baresip::start(LEADER, "", "");
    phone.order("dial", &format!("sip:130@127.0.0.1:{}", proxy.port));
    phone.wait_for("CALL_ESTABLISHED");
    keys_and_leaves(&node, |keys| phone.order("sndcode", keys));
    phone.wait_for("CALL_CLOSED");
    let heard = loud_s(&phone.heard());
    assert!(heard > 0.5, "{heard} s of sound were heard");
    node.stop();
}

#[test]
fn a_proxy_by_another_name_is_not_believed() {
    let network = Network::new();
    let node = network.node(ASSERTED, "");
    let (proxy, _) = network.proxy_called("another.example", &[&node]);
    ended_well(call(&node, &proxy, &["--identity", LEADER, "--expect", "caller-untrusted"]));
    assert!(node.line("\"event\":\"answered\"").contains("\"caller\":\"untrusted\""));
    node.stop();
}

#[test]
fn a_lost_node_s_calls_go_to_the_other_over_tls() {
    let network = Network::new();
    let (one, other, proxy) = network.two_nodes();
    one.signal("KILL");
    calls_twice(&other, &proxy);
    // Nor is there anybody to wait for when both are lost.
    other.signal("KILL");
    is_refused(&call(&other, &proxy, &[]).wait_with_output().unwrap());
}

#[test]
fn a_node_that_says_nothing_any_more_loses_its_turn_over_tls() {
    let network = Network::new();
    let (one, other, proxy) = network.two_nodes();
    // Its connections stand, and its kernel acknowledges what comes.
    one.signal("STOP");
    calls_twice(&other, &proxy);
    other.stop();
}

#[test]
fn a_node_that_drains_keeps_its_calls_over_tls_and_the_other_gets_the_new_ones() {
    let network = Network::new();
    let (one, other, proxy) = network.two_nodes();
    drains(one, other, &proxy, |one| {
        proxy.log_line(&format!("the node sip:{};transport=tls takes no calls", tls_address(one)));
    });
}

#[test]
fn a_caller_reaches_kamailio_by_tls_too() {
    let network = Network::new();
    let node = network.node(ASSERTED, "");
    let (proxy, tls_port) = network.proxy(&[&node]);
    let uri = format!("sip:130@127.0.0.1:{tls_port};transport=tls");
    let believes = |authority: &Authority| {
        let file: PathBuf = authority.file();
        let mut caller = node.caller(&uri, &["--identity", LEADER, "--expect", "ask-member-number"]);
        caller.arg("--tls-ca").arg(file).args(["--keys", "ask-member-number:9"]).output().unwrap()
    };
    let output = believes(&network.proxies);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(node.line("\"event\":\"answered\"").contains("•••3456"));
    // Another authority's word is worth nothing to him.
    let output = believes(&network.nodes);
    assert!(
        !output.status.success() && text(&output.stderr).contains("invalid peer certificate"),
        "{}",
        text(&output.stderr)
    );
    drop(proxy);
    node.stop();
}
