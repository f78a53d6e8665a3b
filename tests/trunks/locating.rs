//! Names of SIP servers, looked up in a real DNS (RFC 3263).

use crate::dnsmasq::Dnsmasq;
use klikon::net::{NameServer, ResolveError, Resolver};
use klikon::sip::Transport;
use klikon::sip::locate::LocateError;
use rand::SeedableRng;
use rand::rngs::StdRng;

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
