//! The service registers, is called by its registration, and takes it away.

use crate::dnsmasq::Dnsmasq;
use crate::registrar;
use crate::service::{Service, text};
use crate::sipp::Registrar;
use std::net::UdpSocket;

const PASSWORD: &str = "geheim";
const LEADER: &str = "0672003456";

fn trunk(uri: &str) -> String {
    format!(
        "[[trunks]]\nname = \"pbx\"\nuri = \"{uri}\"\nuser = \"klikon\"\npassword = \"{PASSWORD}\"\npeer = \"loopback\"\n\
         options_interval_s = 1\n[[peers]]\nname = \"loopback\"\naddresses = [\"127.0.0.1/32\"]\n"
    )
}

/// Phones 130 at the PBX, which sends the call on by the registration; then the service stops. Gives its log.
pub fn called_by_its_registration(service: Service, pbx_port: u16) -> String {
    service.line("\"trunk\":\"pbx\",\"state\":\"registered\"");
    let uri = format!("sip:130@127.0.0.1:{pbx_port}");
    let call =
        service.caller(&uri, &["--identity", LEADER, "--keys", "9", "--hang-up-after-s", "2"]).output();
    let call = call.unwrap();
    let (said, complaints) = (text(&call.stdout), text(&call.stderr));
    assert!(said.contains("answered"), "{said}{complaints}");
    let answered = service.line("\"event\":\"answered\"");
    assert!(answered.contains("\"called\":\"130\"") && answered.contains("•••3456"), "{answered}");
    let log = service.stop();
    assert!(log.contains("the registration is given up"), "{log}");
    log
}

/// Registers at Kamailio, is called through it, and leaves no binding behind.
fn registered_at_kamailio(algorithm: &str) {
    let pbx = registrar::start(algorithm, PASSWORD, 60);
    let service = Service::start_with(&trunk(&format!("sip:127.0.0.1:{}", pbx.port)));
    let said = pbx.log_line("registrar: klikon 2 expires=3600");
    assert!(said.contains(&format!("algorithm={algorithm}")) || algorithm == "MD5", "{said}");
    assert!(said.contains("nc=00000001"), "{said}");
    let log = called_by_its_registration(service, pbx.port);
    assert!(!log.contains(PASSWORD));
    pbx.log_line("registrar: klikon 3 expires=0");
}

#[test]
fn a_kamailio_that_challenges_with_md5_calls_the_service_by_its_registration() {
    registered_at_kamailio("MD5");
}

#[test]
fn a_kamailio_that_challenges_with_sha_256_calls_the_service_by_its_registration() {
    registered_at_kamailio("SHA-256");
}

#[test]
fn everything_to_a_trunk_goes_through_its_outbound_proxy() {
    let proxy = registrar::start("SHA-256", PASSWORD, 60);
    // The registrar's own name leads nowhere.
    let settings = trunk("sip:pbx.invalid")
        .replace("user =", &format!("outbound_proxy = \"sip:127.0.0.1:{}\"\nuser =", proxy.port));
    let service = Service::start_with(&settings);
    let said = proxy.log_line("registrar: klikon");
    assert!(said.contains("uri=\"sip:pbx.invalid\"") && said.contains("route=<sip:127.0.0.1:"), "{said}");
    service.line("\"trunk\":\"pbx\",\"state\":\"up\"");
    service.stop();
}

#[test]
fn a_registrar_that_makes_it_hard_is_followed_step_by_step() {
    let pbx = Registrar::start("hard-registrar.xml");
    let settings = trunk(&format!("sip:127.0.0.1:{}", pbx.port))
        .replace("options_interval_s = 1", "options_interval_s = 0\nexpires_s = 60");
    let service = Service::start_with(&settings);
    service.line("\"state\":\"register-failed\"");
    service.line("\"state\":\"registered\"");
    service.line("\"state\":\"refreshed\"");
    let log = service.stop();
    assert!(log.contains("trunk_registered=1 trunk_refreshed=1 trunk_register_failed=1"), "{log}");
    pbx.ended_well();
}

#[test]
fn servers_that_are_silent_or_unavailable_are_left_for_the_next_one_that_the_dns_names() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unavailable, pbx) = (Registrar::start("unavailable.xml"), registrar::start("MD5", PASSWORD, 60));
    let ports = [silent.local_addr().unwrap().port(), unavailable.port, pbx.port];
    let records: Vec<String> = (1..)
        .zip(ports)
        .map(|(priority, port)| format!("--srv-host=_sip._udp.pbx.test,host.pbx.test,{port},{priority},0"))
        .chain(["--host-record=host.pbx.test,127.0.0.1".to_owned()])
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dns = runtime.block_on(Dnsmasq::start(&records));
    let trunk = trunk("sip:pbx.test").replace("options_interval_s = 1", "options_interval_s = 0");
    let settings = format!("sip.resolver = \"{}\"\nsip.t1_ms = 20\n{trunk}", dns.address);
    let service = Service::start_with(&settings);
    service.line("\"state\":\"registered\"");
    let said = pbx.log_line("registrar: klikon");
    // The first REGISTER to each of three servers, and the answer to the third one's challenge.
    assert!(said.contains("klikon 4 expires=3600"), "{said}");
    let mut datagram = [0; 2048];
    let (length, _) = silent.recv_from(&mut datagram).unwrap();
    assert!(text(&datagram[..length]).starts_with("REGISTER sip:pbx.test SIP/2.0"));
    unavailable.ended_well();
    drop(service);
}

#[test]
fn a_wrong_password_is_told_and_not_tried_again_at_once() {
    let pbx = registrar::start("MD5", "another", 60);
    let service = Service::start_with(&trunk(&format!("sip:127.0.0.1:{}", pbx.port)));
    let log = service.log_line("not registered");
    assert!(log.contains("does not take the user name or the password"), "{log}");
    // The trunk lives all the same.
    service.line("\"trunk\":\"pbx\",\"state\":\"up\"");
    let log = service.stop();
    assert!(log.contains("registers_sent=2 "), "{log}");
}

#[test]
fn a_trunk_that_goes_is_told_once_and_so_is_its_return() {
    let answering = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = answering.local_addr().unwrap().port();
    let settings = format!(
        "sip.t1_ms = 5\n[[trunks]]\nname = \"sbc\"\nuri = \"sip:127.0.0.1:{port}\"\noptions_interval_s = 1\n"
    );
    let service = Service::start_with(&settings);
    let answer = |status: &str| {
        let mut datagram = [0; 4096];
        let (length, from) = answering.recv_from(&mut datagram).unwrap();
        let request = text(&datagram[..length]);
        assert!(request.starts_with(&format!("OPTIONS sip:127.0.0.1:{port} SIP/2.0")), "{request}");
        let copied: Vec<&str> = request
            .lines()
            .filter(|line| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
            })
            .collect();
        let response = format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", copied.join("\r\n"));
        answering.send_to(response.as_bytes(), from).unwrap();
    };
    answer("404 Not Found");
    service.line("\"event\":\"trunk\",\"trunk\":\"sbc\",\"state\":\"up\"");
    for _ in 0..3 {
        answer("503 Service Unavailable");
    }
    service.line("\"trunk\":\"sbc\",\"state\":\"down\"");
    answer("200 OK");
    answer("200 OK");
    service.line("\"trunk\":\"sbc\",\"state\":\"up\"");
    let log = service.stop();
    assert!(log.contains("trunk_up=2 trunk_down=1"), "{log}");
}
