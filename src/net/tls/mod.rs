//! TLS by rustls: what the settings say, made into contexts from which sessions are made.
//!
//! [`Contexts`] is built whole from [`Settings`] or not at all, so a CONFIG SET that names a bad file leaves the old ones in
//! force; sessions keep what they began with. [`Session`] is the state machine, [`Conn`](super::Conn) joins it with a socket.
//! Certificates are checked against the authorities given and nothing else: names are not compared, as upstream, since
//! replicas and clients are known by their certificate and not by where they live.
//!
//! Compat: OpenSSL settings without a counterpart in rustls are told in `names`; `tls-dh-params-file` must be readable but
//! has no effect, there being no finite-field Diffie-Hellman.

mod cache;
mod keys;
mod names;
mod session;
#[cfg(test)]
mod tests;
mod verify;

pub use session::Session;

use cache::SessionCache;
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use verify::{AnyClient, AnyServer};

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// They must.
    Required,
    /// They may; a bad one is refused.
    Optional,
    /// They are not asked.
    None,
}

/// The settings, as the configuration has them; paths that are None were not given.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'s> {
    /// The server's certificate chain.
    pub cert: Option<&'s Path>,
    /// Its key.
    pub key: Option<&'s Path>,
    /// The key's password, empty for none.
    pub key_password: &'s [u8],
    /// The certificate chain shown to other servers; that of the server if not given.
    pub client_cert: Option<&'s Path>,
    /// Its key.
    pub client_key: Option<&'s Path>,
    /// The key's password, empty for none.
    pub client_key_password: &'s [u8],
    /// File of authorities.
    pub ca_file: Option<&'s Path>,
    /// Directory of authorities.
    pub ca_dir: Option<&'s Path>,
    /// File of Diffie-Hellman parameters.
    pub dh_params: Option<&'s Path>,
    /// Whether clients must show a certificate.
    pub auth_clients: ClientAuth,
    /// Whether other servers are spoken to by TLS (`tls-replication`, `tls-cluster`).
    pub outgoing: bool,
    /// `tls-protocols`
    pub protocols: &'s str,
    /// `tls-ciphers`
    pub ciphers: &'s str,
    /// `tls-ciphersuites`
    pub ciphersuites: &'s str,
    /// The server's order of suites counts rather than the client's.
    pub prefer_server_ciphers: bool,
    /// Remember sessions.
    pub session_caching: bool,
    /// How many.
    pub cache_size: usize,
    /// For how long.
    pub cache_timeout_s: u64,
}

/// Why contexts cannot be made. Its Display is the line for the log.
#[derive(Debug, Clone, PartialEq)]
pub enum TlsError {
    /// `tls-cert-file` is not given.
    NoCertificate,
    /// `tls-key-file` is not given.
    NoKey,
    /// No authorities, though certificates are to be checked.
    NoAuthorities,
    /// A file cannot be used: what it holds, its path, why.
    File(&'static str, String, String),
    /// `tls-protocols` names something unknown.
    Protocols,
    /// `tls-protocols` names only versions before 1.2.
    OldProtocols,
    /// A list of ciphers names nothing known.
    Ciphers(&'static str, String),
    /// rustls refuses the lot.
    Library(rustls::Error),
}

impl TlsError {
    fn file(what: &'static str, path: &Path, why: impl fmt::Display) -> Self {
        let why = why.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        TlsError::File(what, path.display().to_string(), why.into())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::NoCertificate => f.write_str("No tls-cert-file configured!"),
            TlsError::NoKey => f.write_str("No tls-key-file configured!"),
            TlsError::NoAuthorities => f.write_str(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!",
            ),
            TlsError::File(what, path, why) => write!(f, "Failed to load {what}: {path}: {why}"),
            TlsError::Protocols => {
                f.write_str("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")
            }
            TlsError::OldProtocols => f.write_str("tls-protocols leaves nothing: versions before TLSv1.2 are not spoken."),
            TlsError::Ciphers(what, list) => write!(f, "Failed to configure {what}: {list}: no cipher match"),
            TlsError::Library(e) => write!(f, "Failed to set up TLS: {e}"),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(e: rustls::Error) -> Self {
        TlsError::Library(e)
    }
}

/// What sessions are made from.
#[derive(Debug, Clone)]
pub struct Contexts {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Shows one certificate to everybody.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl ResolvesClientCert for Only {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Contexts {
    /// Reads the files and builds the contexts.
    pub fn load(s: &Settings<'_>) -> Result<Contexts, TlsError> {
        let cert = s.cert.ok_or(TlsError::NoCertificate)?;
        let key = s.key.ok_or(TlsError::NoKey)?;
        if s.ca_file.is_none()
            && s.ca_dir.is_none()
            && (s.outgoing || s.auth_clients == ClientAuth::Required)
        {
            return Err(TlsError::NoAuthorities);
        }
        if let Some(path) = s.dh_params {
            std::fs::metadata(path).map_err(|e| TlsError::file("DH params file", path, e))?;
        }
        let versions = names::protocols(s.protocols).ok_or(TlsError::Protocols)?;
        if versions.is_empty() {
            return Err(TlsError::OldProtocols);
        }
        let provider = Arc::new(provider(s)?);
        let roots = Arc::new(keys::authorities(s.ca_file, s.ca_dir)?);
        let own = Arc::new(keys::pair(cert, key, s.key_password)?);
        let other = match (s.client_cert, s.client_key) {
            (Some(cert), Some(key)) => Arc::new(keys::pair(cert, key, s.client_key_password)?),
            _ => own.clone(),
        };
        Ok(Contexts {
            server: Arc::new(server_config(s, &provider, &versions, &roots, own)?),
            client: Arc::new(client_config(&provider, &versions, roots, other)?),
        })
    }

    /// A session with a peer that connected to us.
    pub fn accept(&self) -> Result<Session, TlsError> {
        Ok(ServerConnection::new(self.server.clone())?.into())
    }

    /// A session with a server at `host` that we connect to.
    pub fn connect(&self, host: &str) -> Result<Session, TlsError> {
        let unnamed = || ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| unnamed());
        Ok(ClientConnection::new(self.client.clone(), name)?.into())
    }
}

/// rustls' cryptography with the cipher suites of the settings.
fn provider(s: &Settings<'_>) -> Result<CryptoProvider, TlsError> {
    let choose = |list: &str, what, read: fn(&str) -> Option<Vec<_>>, version| {
        if list.is_empty() {
            return Ok(names::all(version));
        }
        read(list).ok_or_else(|| TlsError::Ciphers(what, list.into()))
    };
    let mut cipher_suites = choose(
        s.ciphersuites,
        "ciphersuites",
        names::ciphersuites,
        ProtocolVersion::TLSv1_3,
    )?;
    cipher_suites.extend(choose(
        s.ciphers,
        "ciphers",
        names::ciphers,
        ProtocolVersion::TLSv1_2,
    )?);
    Ok(CryptoProvider {
        cipher_suites,
        ..ring::default_provider()
    })
}

fn server_config(
    s: &Settings<'_>,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    roots: &Arc<RootCertStore>,
    own: Arc<CertifiedKey>,
) -> Result<ServerConfig, TlsError> {
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match s.auth_clients {
        ClientAuth::None => builder.with_no_client_auth(),
        auth => {
            let required = auth == ClientAuth::Required;
            builder.with_client_cert_verifier(Arc::new(AnyClient::new(
                roots.clone(),
                provider,
                required,
            )))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Only(own)));
    config.ignore_client_order = s.prefer_server_ciphers;
    if s.session_caching {
        config.session_storage = Arc::new(SessionCache::new(s.cache_size, s.cache_timeout_s));
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    roots: Arc<RootCertStore>,
    own: Arc<CertifiedKey>,
) -> Result<ClientConfig, TlsError> {
    let verifier = Arc::new(AnyServer::new(roots, provider));
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(Only(own))))
}
