//! Names of SIP servers, looked up in a real DNS (RFC 3263).

use crate::dnsmasq::Dnsmasq;
use crate::service::{FOR_EVER, Service, text};
use klikon::net::{NameServer, ResolveError, Resolver};
use klikon::sip::Transport;
use klikon::sip::locate::LocateError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::io::Read;

fn records() -> Vec<String> {
    [
        "--naptr-record=ims.test,20,10,s,SIP+D2U,,_sip._udp.ims.test",
        "--naptr-record=ims.test,10,10,s,SIPS+D2T,,_sips._tcp.ims.test",
        "--naptr-record=ims.test,30,10,s,SIP+D2T,,_sip._tcp.ims.test",
        "--srv-host=_sip._udp.ims.test,two.ims.test,5082,20,1",
        "--srv-host=_sip._udp.ims.test,one.ims.test,5081,10,1",
        "--srv-host=_sips._tcp.ims.test,one.ims.test,5061,10,1",
        "--srv-host=_sip._tcp.ims.test,one.ims.test,5060,10,1",
        "--host-record=one.ims.test,127.0.0.11,::1",
        "--host-record=two.ims.test,127.0.0.12",
        "--srv-host=_sip._udp.srv.test,one.ims.test,5090,0,0",
        "--host-record=plain.test,127.0.0.13",
        "--cname=alias.test,plain.test",
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn located(resolver: &Resolver, uri: &str, usable: &[Transport]) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(1);
    let targets = resolver.locate(uri, usable, &mut random).await.unwrap();
    targets.iter().map(|t| format!("{} {}", t.transport.via_name(), t.address)).collect()
}

#[tokio::test]
async fn a_real_dns_says_transport_servers_and_addresses() {
    let dns = Dnsmasq::start(&records()).await;
    let resolver = Resolver::new(NameServer::At(dns.address)).unwrap();
    let udp = [Transport::Udp];
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
    assert_eq!(
        located(&resolver, "sip:ims.test", &udp).await,
        ["UDP 127.0.0.11:5081", "UDP [::1]:5081", "UDP 127.0.0.12:5082"]
    );
    let by_all = located(&resolver, "sip:130@ims.test;lr", &all).await;
    assert_eq!(by_all[0], "TLS 127.0.0.11:5061");
    assert_eq!(by_all.last().unwrap(), "TCP [::1]:5060");
    assert_eq!(located(&resolver, "sips:ims.test", &all).await, ["TLS 127.0.0.11:5061", "TLS [::1]:5061"]);
    assert_eq!(located(&resolver, "sip:srv.test", &udp).await, ["UDP 127.0.0.11:5090", "UDP [::1]:5090"]);
    assert_eq!(located(&resolver, "sip:plain.test", &udp).await, ["UDP 127.0.0.13:5060"]);
    assert_eq!(located(&resolver, "sip:alias.test:5099", &udp).await, ["UDP 127.0.0.13:5099"]);
    assert_eq!(located(&resolver, "sip:127.0.0.1:5098", &udp).await, ["UDP 127.0.0.1:5098"]);
}

#[tokio::test]
async fn what_leads_nowhere_says_so() {
    let dns = Dnsmasq::start(&records()).await;
    let resolver = Resolver::new(NameServer::At(dns.address)).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let mut failed = async |uri: &str| {
        resolver.locate(uri, &[Transport::Udp], &mut random).await.expect_err("leads nowhere")
    };
    assert!(matches!(
        failed("sip:nowhere.test").await,
        ResolveError::Located(LocateError::NoAddress(name)) if name == "nowhere.test"
    ));
    assert!(matches!(failed("sips:ims.test").await, ResolveError::Located(LocateError::NoTransport)));
    assert!(matches!(failed("tel:+355").await, ResolveError::Uri(_)));
}

#[tokio::test]
async fn an_answer_is_remembered_when_the_dns_is_gone() {
    let dns = Dnsmasq::start(&records()).await;
    let resolver = Resolver::new(NameServer::At(dns.address)).unwrap();
    let asked = located(&resolver, "sip:srv.test;transport=udp", &[Transport::Udp]).await;
    drop(dns);
    assert_eq!(located(&resolver, "sip:srv.test;transport=udp", &[Transport::Udp]).await, asked);
    let mut random = StdRng::seed_from_u64(1);
    let error = resolver.locate("sip:two.ims.test:5060", &[Transport::Udp], &mut random).await.unwrap_err();
    assert!(matches!(error, ResolveError::Dns(_) | ResolveError::Late(_)), "{error}");
}

/// A server that refuses one INVITE with 503, for ever.
fn refusing() -> (std::net::SocketAddr, std::thread::JoinHandle<String>) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let refuse = move || {
        let mut datagram = [0; 4096];
        let (length, from) = socket.recv_from(&mut datagram).unwrap();
        let request = String::from_utf8_lossy(&datagram[..length]).into_owned();
        let copied: Vec<&str> = request
            .lines()
            .filter(|line| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|n| line.starts_with(n)))
            .collect();
        let copied = copied.join("\r\n").replace("\r\nCall-ID", ";tag=1\r\nCall-ID");
        let response = format!("SIP/2.0 503 Service Unavailable\r\n{copied}\r\nContent-Length: 0\r\n\r\n");
        socket.send_to(response.as_bytes(), from).unwrap();
        request
    };
    (address, std::thread::spawn(refuse))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_built_in_caller_finds_130_by_name_and_leaves_a_server_that_cannot() {
    let service = Service::start_with("");
    let port = service.address.rsplit_once(':').unwrap().1.to_owned();
    let (refusing, refused) = refusing();
    let dns = Dnsmasq::start(&[
        format!("--srv-host=_sip._udp.voice.test,host.voice.test,{},1,0", refusing.port()),
        format!("--srv-host=_sip._udp.voice.test,host.voice.test,{port},2,0"),
        "--naptr-record=voice.test,10,10,s,SIP+D2U,,_sip._udp.voice.test".to_owned(),
        "--host-record=host.voice.test,127.0.0.1".to_owned(),
    ])
    .await;
    let server = dns.address.to_string();
    let arguments = ["--identity", "0672003456", "--resolver", &server, "--keys", "9", "--expect", "goodbye"];
    let output = tokio::task::block_in_place(|| service.caller("sip:130@voice.test", &arguments).output());
    let output = output.unwrap();
    let (said, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.contains("503") && said.contains("trying the next server"), "{said}");
    assert!(refused.join().unwrap().starts_with("INVITE sip:130@voice.test SIP/2.0"));
}

/// Sends a message of the far end and waits for an answer that begins so.
fn exchange(socket: &std::net::UdpSocket, to: &str, message: &str, wanted: &str) -> String {
    socket.send_to(message.as_bytes(), to).unwrap();
    let mut datagram = [0; 4096];
    loop {
        let (length, _) = socket.recv_from(&mut datagram).unwrap();
        let answer = text(&datagram[..length]);
        if answer.starts_with(wanted) {
            return answer;
        }
    }
}

/// Calls 131 over UDP with a Contact that is a name, until the service knows where that leads. Gives the caller's socket.
fn call_with_a_named_contact(service: &Service) -> std::net::UdpSocket {
    let caller = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = caller.local_addr().unwrap();
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";
    let request = |method: &str, to_tag: &str, body: &str| {
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:131@{} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:pbx@pbx.test>;tag=1\r\nTo: <sip:131@klikon.test>{to_tag}\r\nCall-ID: named\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:pbx@pbx.test>\r\n{content}Content-Length: {}\r\n\r\n{body}",
            service.address,
            body.len()
        )
    };
    let ok = exchange(&caller, &service.address, &request("INVITE", "", sdp), "SIP/2.0 200");
    let to = ok.lines().find(|line| line.starts_with("To: ")).unwrap();
    let to_tag = to.get(to.find(";tag=").unwrap()..).unwrap();
    caller.send_to(request("ACK", to_tag, "").as_bytes(), &service.address).unwrap();
    service.log_line("the next hop is found");
    caller
}

fn asking(dns: &Dnsmasq, more: &str) -> Service {
    let address = dns.address;
    Service::start_with(&format!("log.level = \"klikon=debug\"\n[sip]\nresolver = \"{address}\"\n{more}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_whose_contact_is_a_name_is_ended_where_the_name_leads() {
    let named = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = named.local_addr().unwrap().port();
    let dns = Dnsmasq::start(&[
        format!("--srv-host=_sip._udp.pbx.test,host.pbx.test,{port},1,0"),
        "--host-record=host.pbx.test,127.0.0.1".to_owned(),
    ])
    .await;
    let service = asking(&dns, "");
    let _caller = call_with_a_named_contact(&service);
    service.signal("TERM");
    let mut datagram = [0; 4096];
    let (length, _) = named.recv_from(&mut datagram).unwrap();
    let bye = text(&datagram[..length]);
    assert!(bye.starts_with("BYE sip:pbx@pbx.test SIP/2.0"), "{bye}");
}

/// The SRV record's port is not the one that a URI without a port has.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_over_udp_is_ended_over_tcp_where_its_contact_leads_there() {
    let named = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = named.local_addr().unwrap().port();
    let dns = Dnsmasq::start(&[
        "--naptr-record=pbx.test,10,10,s,SIP+D2T,,_sip._tcp.pbx.test".to_owned(),
        format!("--srv-host=_sip._tcp.pbx.test,host.pbx.test,{port},1,0"),
        "--host-record=host.pbx.test,127.0.0.1".to_owned(),
    ])
    .await;
    let service = asking(&dns, "listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\n");
    let _caller = call_with_a_named_contact(&service);
    service.signal("TERM");
    let (mut stream, _) = named.accept().unwrap();
    stream.set_read_timeout(Some(FOR_EVER)).unwrap();
    let (mut bye, mut octets) = (String::new(), [0; 4096]);
    while !bye.contains("\r\n\r\n") {
        let length = stream.read(&mut octets).unwrap();
        assert!(length > 0, "{bye}");
        bye.push_str(&text(&octets[..length]));
    }
    assert!(bye.starts_with("BYE sip:pbx@pbx.test SIP/2.0\r\nVia: SIP/2.0/TCP "), "{bye}");
}
