//! TLS with certificates made for the test: mutual authentication, names, and files that change.

use super::authority::{Authority, dns, loopback};
use super::service::*;
use futures_util::{SinkExt, StreamExt};
use klikon::net::{StreamSettings, TlsSettings};
use klikon::sip::{Counter, Event, Flow, InviteParams, Transport};
use rcgen::{KeyPair, SanType};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, rustls};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const TLS: Transport = Transport::Tls;

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(file: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    roots
}

fn identity(
    (certificate, key): &(PathBuf, PathBuf),
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (vec![CertificateDer::from_pem_file(certificate).unwrap()], PrivateKeyDer::from_pem_file(key).unwrap())
}

/// Connects as a client that believes `authority` and may have a certificate of its own.
async fn connect(
    service: &Service,
    authority: &Path,
    own: Option<&(PathBuf, PathBuf)>,
) -> std::io::Result<Peer<client::TlsStream<TcpStream>>> {
    connect_by(TLS, service, authority, own).await.map(Peer::new)
}

async fn connect_by(
    transport: Transport,
    service: &Service,
    authority: &Path,
    own: Option<&(PathBuf, PathBuf)>,
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots(authority));
    let config = match own.map(identity) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(service.address(transport)).await?;
    let name = ServerName::try_from("130.example").unwrap();
    in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

fn start(settings: TlsSettings) -> Service {
    Service::start(&["tls:127.0.0.1:0"], StreamSettings::default(), settings)
}

fn certified(certificate: &(PathBuf, PathBuf)) -> TlsSettings {
    TlsSettings {
        certificate: Some(certificate.0.clone()),
        key: Some(certificate.1.clone()),
        ..TlsSettings::default()
    }
}

#[tokio::test]
async fn a_call_over_tls_is_answered_with_a_sips_contact() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let mut service = start(certified(&authority.certify("server", vec![dns("130.example")])));
    let mut peer = connect(&service, &authority.file(), None).await.unwrap();
    peer.is_served(TLS, 1).await;
    peer.send(invite(TLS, 2).replacen("INVITE sip:", "INVITE sips:", 1)).await;
    assert_eq!(peer.status().await.as_deref(), Some("100"));
    let ok = peer.message().await.unwrap();
    assert_eq!(field(&ok, "Contact"), format!("<sips:130@{}>", service.address(TLS)));
    peer.send(ack(&ok, TLS)).await;
    service.confirmed().await;
}

#[tokio::test]
async fn the_names_of_a_verified_certificate_are_told_and_others_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, strangers) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "strangers"));
    let settings = TlsSettings {
        client_ca: Some(ours.file()),
        client_certificate_required: true,
        ..certified(&ours.certify("server", vec![dns("130.example")]))
    };
    let mut service = start(settings.clone());
    let names = vec![dns("PBX.example"), uri("sip:trunk.example")];
    let pbx = ours.certify("pbx", names.clone());
    let mut peer = connect(&service, &ours.file(), Some(&pbx)).await.unwrap();
    peer.is_served(TLS, 1).await;
    let told = service.wait(|told| match told {
        Told::Connected(flow, names) => Some((flow.transport, names.clone())),
        _ => None,
    });
    assert_eq!(told.await, (TLS, vec!["pbx.example".to_owned(), "trunk.example".to_owned()]));
    // No certificate, or one of an authority that is not ours. In TLS 1.3 the client learns of it when it reads.
    let stranger = strangers.certify("stranger", names);
    for own in [None, Some(&stranger)] {
        if let Ok(mut turned_away) = connect(&service, &ours.file(), own).await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut turned_away.stream, options(TLS, 2).as_bytes())
                .await;
            assert_eq!(turned_away.message().await, None);
        }
    }
    assert_eq!(service.count(Counter::ClosedHandshake).await, 2);
    peer.is_served(TLS, 3).await;
    // Asked for, not required: a peer without one is served, and has no name.
    let mut service = start(TlsSettings { client_certificate_required: false, ..settings });
    let mut nameless = connect(&service, &ours.file(), None).await.unwrap();
    nameless.is_served(TLS, 4).await;
    let told = service.wait(|told| match told {
        Told::Connected(_, names) => Some(names.clone()),
        _ => None,
    });
    assert_eq!(told.await, Vec::<String>::new());
}

#[tokio::test]
async fn files_that_change_are_read_again_and_bad_ones_leave_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
    let server = old.certify("server", vec![dns("130.example")]);
    let service = start(certified(&server));
    let mut before = connect(&service, &old.file(), None).await.unwrap();
    before.is_served(TLS, 1).await;
    let tls = service.tls.clone().unwrap();
    std::fs::write(&server.0, "no certificate").unwrap();
    tls.reload(true);
    connect(&service, &old.file(), None).await.unwrap().is_served(TLS, 2).await;
    new.certify("server", vec![dns("130.example")]);
    tls.reload(true);
    assert!(connect(&service, &old.file(), None).await.is_err(), "the new certificate is another's");
    connect(&service, &new.file(), None).await.unwrap().is_served(TLS, 3).await;
    before.is_served(TLS, 4).await;
    // Certificate and key that do not fit.
    std::fs::write(&server.1, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    tls.reload(true);
    connect(&service, &new.file(), None).await.unwrap().is_served(TLS, 5).await;
}

#[tokio::test]
async fn a_changed_file_is_noticed_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(folder.path(), "old"), Authority::new(folder.path(), "new"));
    let server = old.certify("server", vec![dns("130.example")]);
    let interval = Some(std::time::Duration::from_millis(10));
    let service = start(TlsSettings { reload_interval: interval, ..certified(&server) });
    connect(&service, &old.file(), None).await.unwrap().is_served(TLS, 1).await;
    new.certify("server", vec![dns("130.example")]);
    // As often as it takes; the net is time.
    let noticed = async {
        while connect(&service, &new.file(), None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time(noticed).await;
}

/// A server that takes one TLS connection.
async fn server(certificate: &(PathBuf, PathBuf)) -> (Flow, TcpListener, TlsAcceptor) {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let (chain, key) = identity(certificate);
    let config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = Flow { transport: TLS, local: remote, remote };
    (flow, listener, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_connection_of_ours_is_opened_only_to_a_server_whose_certificate_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, strangers) = (Authority::new(folder.path(), "ca"), Authority::new(folder.path(), "strangers"));
    let settings = TlsSettings {
        server_ca: Some(ours.file()),
        ..certified(&ours.certify("server", vec![dns("130.example")]))
    };
    let mut service = start(settings);
    let params = |host: &str| InviteParams {
        request_uri: format!("sips:130@{host}"),
        from: "sip:130@127.0.0.1".to_owned(),
        to: "sip:130@127.0.0.1".to_owned(),
        ..InviteParams::default()
    };
    // By its address, or by the name that led there.
    for (host, name) in [("127.0.0.1", loopback()), ("pbx.example", dns("pbx.example"))] {
        let (flow, listener, acceptor) = server(&ours.certify("believed", vec![name])).await;
        let flow = Flow { local: service.address(TLS), ..flow };
        service.order(Order::Invite(flow, Box::new(params(host)))).await;
        let (stream, _) = in_time(listener.accept()).await.unwrap();
        let mut believed = Peer::new(in_time(acceptor.accept(stream)).await.unwrap());
        let invite = believed.message().await.unwrap();
        assert!(field(&invite, "Via").starts_with("SIP/2.0/TLS "), "{invite}");
        assert!(field(&invite, "Contact").starts_with("<sips:130@"), "{invite}");
    }
    for (host, certificate) in [
        ("127.0.0.1", strangers.certify("stranger", vec![loopback()])),
        ("127.0.0.1", ours.certify("another", vec![dns("another.example")])),
        ("pbx.example", ours.certify("address", vec![loopback()])),
    ] {
        let (flow, listener, acceptor) = server(&certificate).await;
        let flow = Flow { local: service.address(TLS), ..flow };
        service.order(Order::Invite(flow, Box::new(params(host)))).await;
        let (stream, _) = in_time(listener.accept()).await.unwrap();
        assert!(in_time(acceptor.accept(stream)).await.is_err(), "turned away");
        service
            .wait(|told| matches!(told, Told::Event(Event::Rejected { status: 503, .. })).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_browser_calls_over_wss() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let tls = certified(&authority.certify("server", vec![dns("130.example")]));
    let mut service = Service::start(&["wss:127.0.0.1:0"], StreamSettings::default(), tls);
    let stream = connect_by(Transport::Wss, &service, &authority.file(), None).await.unwrap();
    let mut request = "wss://130.example/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let (mut browser, _) = in_time(client_async(request, stream)).await.unwrap();
    in_time(browser.send(Message::text(invite(Transport::Wss, 1)))).await.unwrap();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let Message::Text(text) = in_time(browser.next()).await.unwrap().unwrap() else { panic!("no text") };
        answers.push(text.to_string());
    }
    assert!(answers[1].starts_with("SIP/2.0 200 ") && field(&answers[1], "Via").starts_with("SIP/2.0/WSS "));
    in_time(browser.send(Message::text(ack(&answers[1], Transport::Wss)))).await.unwrap();
    service.confirmed().await;
}
