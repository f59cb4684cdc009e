//! Checking the peer's certificate: signed (through intermediates) by one of our authorities, and in date.
//!
//! Names are not compared. Certificates of X.509 version 1, which `openssl x509 -req` makes unless told otherwise, are unknown
//! to rustls; they are checked by `old`: signed by an authority directly, and in date.

mod old;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Checks a chain.
#[derive(Debug)]
struct Chain {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Chain {
    fn new(roots: Arc<RootCertStore>, provider: &CryptoProvider) -> Self {
        Chain {
            roots,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn check(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        ours: Purpose,
    ) -> Result<(), Error> {
        if let Some(old) = old::OldCertificate::parse(cert) {
            return old.check(&self.roots, &self.algorithms, now);
        }
        let parsed = ParsedCertificate::try_from(cert)?;
        match ours {
            Purpose::Server => verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                between,
                now,
                self.algorithms.all,
            ),
            Purpose::Client(inner) => inner.verify_client_cert(cert, between, now).map(|_| ()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        modern: fn(
            &[u8],
            &CertificateDer<'_>,
            &DigitallySignedStruct,
            &WebPkiSupportedAlgorithms,
        ) -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Some(old) = old::OldCertificate::parse(cert) {
            old.check_signature(&self.algorithms, signed.scheme, message, signed.signature())?;
            return Ok(HandshakeSignatureValid::assertion());
        }
        modern(message, cert, signed, &self.algorithms)
    }
}

/// What a certificate is shown as.
enum Purpose<'p> {
    Server,
    Client(&'p dyn ClientCertVerifier),
}

/// Checks servers that we connect to.
#[derive(Debug)]
pub struct AnyServer(Chain);

impl AnyServer {
    /// By these authorities.
    pub fn new(roots: Arc<RootCertStore>, provider: &CryptoProvider) -> Self {
        AnyServer(Chain::new(roots, provider))
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.check(cert, between, now, Purpose::Server)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        cert: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_signature(m, cert, s, verify_tls12_signature)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        cert: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_signature(m, cert, s, verify_tls13_signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms.supported_schemes()
    }
}

/// Checks clients that connect to us.
#[derive(Debug)]
pub struct AnyClient {
    chain: Chain,
    /// rustls' own, for all but version 1. None without authorities: then nothing passes.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    subjects: Vec<DistinguishedName>,
    required: bool,
}

impl AnyClient {
    /// By these authorities; `required` clients without a certificate are refused.
    pub fn new(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>, required: bool) -> Self {
        let builder = rustls::server::WebPkiClientVerifier::builder_with_provider(
            roots.clone(),
            provider.clone(),
        );
        AnyClient {
            subjects: roots.subjects(),
            chain: Chain::new(roots, provider),
            inner: builder.build().ok(),
            required,
        }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let inner = self.inner.as_deref();
        let inner = inner.ok_or(Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer,
        ))?;
        self.chain
            .check(cert, between, now, Purpose::Client(inner))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        cert: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .check_signature(m, cert, s, verify_tls12_signature)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        cert: &CertificateDer<'_>,
        s: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .check_signature(m, cert, s, verify_tls13_signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.algorithms.supported_schemes()
    }
}
