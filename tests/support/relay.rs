//! TLS for a SIPp that has none: SIPp connects to a port of the runner over TCP, and each connection becomes a TLS
//! connection to the service. The octets are passed on as they are; that they speak of TLS is the scenario's part.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A relay to one address of the service; it ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Relay {
    /// Listens beside the service, which must prove its address by its certificate. `own` is the certificate that is shown
    /// to it, and its key.
    pub async fn start(
        service: SocketAddr,
        certificate: &Path,
        own: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self> {
        let mut believed = RootCertStore::empty();
        believed.add(CertificateDer::from_pem_file(certificate)?)?;
        let client = ClientConfig::builder().with_root_certificates(believed);
        let client = match own {
            None => client.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_file(certificate)?];
                client.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
        };
        let connector = TlsConnector::from(Arc::new(client));
        let listener = TcpListener::bind((service.ip(), 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((sipp, _)) = listener.accept().await {
                let connector = connector.clone();
                tokio::spawn(async move {
                    // SIPp tells of a connection that broke: its call fails, and the report has the server's log.
                    if let Err(error) = pass_on(sipp, service, &connector).await {
                        eprintln!("the TLS relay: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address, serving: serving.abort_handle() })
    }

    /// Where SIPp connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Both ways until both have ended.
async fn pass_on(mut sipp: TcpStream, service: SocketAddr, connector: &TlsConnector) -> Result<()> {
    let connection = TcpStream::connect(service).await.context("no connection to the service")?;
    let name = ServerName::IpAddress(service.ip().into());
    let mut secured = connector.connect(name, connection).await.context("no TLS with the service")?;
    tokio::io::copy_bidirectional(&mut sipp, &mut secured).await.context("the connection broke")?;
    Ok(())
}
