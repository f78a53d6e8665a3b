//! TLS for SIP (RFC 3261 §26.3.1, RFC 5922): certificates and keys, read again when their files change, and the names
//! that a peer's verified certificate holds.

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What is certified by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Our certificate with its chain, PEM; needed to listen.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Whose certificates of peers that connect are believed, PEM; without it they are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a peer without such a certificate is turned away.
    pub client_certificate_required: bool,
    /// Whose certificates of servers we connect to are believed, PEM.
    pub server_ca: Option<PathBuf>,
    /// Between two looks at the files.
    pub reload_interval: Option<Duration>,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// To listen for TLS a certificate and its key are needed.
    #[error("TLS is listened for, but there is no certificate; set `tls.certificate` and `tls.key`")]
    NoCertificate,
    /// A file cannot be used.
    #[error("{}: no PEM file with {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate, key and authorities do not fit together.
    #[error("the certificates cannot be used")]
    Unusable(#[from] rustls::Error),
    /// The authorities cannot be used.
    #[error("the authority's certificates cannot be used")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

/// Both sides of TLS as they are now.
#[derive(Debug, Clone)]
struct Present {
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
    /// When the files were last changed, as of this reading.
    changed: Vec<Option<SystemTime>>,
}

/// TLS as the settings say, whose files may change while the service runs.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    present: Mutex<Present>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        let present = read(&settings)?;
        Ok(Self { settings, present: Mutex::new(present) })
    }

    /// How often the files are looked at.
    pub fn reload_interval(&self) -> Option<Duration> {
        self.settings.reload_interval
    }

    /// For a peer that connects; `None` without a certificate of ours.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.now().server.map(TlsAcceptor::from)
    }

    /// For connecting to a server.
    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.now().client)
    }

    fn now(&self) -> Present {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again if one has changed, or if `always`. One that cannot be used leaves everything as it was.
    /// Connections that are there stay as they are.
    pub fn reload(&self, always: bool) {
        let before = self.now().changed;
        let changed = changed(&self.settings);
        if changed == before && !always {
            return;
        }
        let mut present = match read(&self.settings) {
            Ok(present) => {
                tracing::info!("certificates read again");
                present
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "certificates cannot be read again; the old ones stay");
                self.now()
            }
        };
        // So that a bad file is told of once.
        present.changed = changed;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = present;
    }
}

fn read(settings: &TlsSettings) -> Result<Present, TlsError> {
    let changed = changed(settings);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let ours = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            let source = |what| move |source| TlsError::File { path: key.clone(), what, source };
            Some((
                certificates(certificate)?,
                PrivateKeyDer::from_pem_file(key).map_err(source("a private key"))?,
            ))
        }
        _ => None,
    };
    let server = match &ours {
        Some((chain, key)) => {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?;
            let builder = match &settings.client_ca {
                Some(ca) => {
                    let verifier =
                        WebPkiClientVerifier::builder_with_provider(roots(ca)?.into(), Arc::clone(&provider));
                    let verifier = if settings.client_certificate_required {
                        verifier
                    } else {
                        verifier.allow_unauthenticated()
                    };
                    builder.with_client_cert_verifier(verifier.build()?)
                }
                None => builder.with_no_client_auth(),
            };
            Some(Arc::new(builder.with_single_cert(chain.clone(), key.clone_key())?))
        }
        None => None,
    };
    let trusted = settings.server_ca.as_deref().map(roots).transpose()?;
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match trusted {
        Some(trusted) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(trusted.into(), provider).build()?;
            builder.with_webpki_verifier(verifier)
        }
        // Nobody is believed: connections that we open fail.
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    let client = match ours {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Present { server, client: Arc::new(client), changed })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let source = |source| TlsError::File { path: path.to_owned(), what: "a certificate", source };
    let chain = CertificateDer::pem_file_iter(path).map_err(source)?.collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(source(rustls::pki_types::pem::Error::NoItemsFound)),
        chain => chain.map_err(source),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// When each file was last changed.
fn changed(settings: &TlsSettings) -> Vec<Option<SystemTime>> {
    let TlsSettings { certificate, key, client_ca, server_ca, .. } = settings;
    let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    [certificate, key, client_ca, server_ca].into_iter().flatten().map(modified).collect()
}

fn is_authority(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Why a connection could not be opened, with the mend where a certificate is the reason.
pub(super) fn explain(error: &io::Error) -> String {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(reason)) = inner else { return error.to_string() };
    let mend = match reason {
        CertificateError::UnknownIssuer => "name the file of its authority (tls.server_ca, --tls-ca)",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it needs a new one",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "call it by a name or address that its certificate has"
        }
        // As `openssl req -x509` makes them.
        CertificateError::Other(other) if is_authority(&*other.0) => {
            "a server's certificate must say CA:FALSE (basicConstraints)"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {mend}")
}

/// The names in a verified certificate: DNS names, then URIs without `sip:` (RFC 5922 §7.1).
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let hosts = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    let uris = certificate.valid_uri_names().map(|uri| uri.strip_prefix("sip:").unwrap_or(uri).to_owned());
    hosts.chain(uris).collect()
}
