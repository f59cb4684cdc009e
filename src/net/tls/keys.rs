//! Certificates and private keys from PEM files, private keys in plain or behind a password.
//!
//! Passwords open PKCS#8 keys (`BEGIN ENCRYPTED PRIVATE KEY`), which is what OpenSSL 3 writes. Compat: the older form with
//! `Proc-Type: 4,ENCRYPTED` is refused with a word on how to convert it, since it hides the key behind one round of MD5.

use super::TlsError;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Document;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::path::Path;

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|e| TlsError::file(what, path, e))
}

/// The certificates of a file: the server's own first, then those that lead to the authority.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read("certificate", path)?;
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certs = certs.map_err(|e| TlsError::file("certificate", path, e))?;
    if certs.is_empty() {
        return Err(TlsError::file("certificate", path, "no start line"));
    }
    Ok(certs)
}

/// The private key of a file.
fn private_key(path: &Path, password: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read("private key", path)?;
    let bad = |why: String| TlsError::file("private key", path, why);
    let plain = String::from_utf8_lossy(&text);
    if plain.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(bad(
            "encrypted the old way; convert it with: openssl pkcs8 -topk8".into(),
        ));
    }
    let Some(from) = plain.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") else {
        return PrivateKeyDer::from_pem_slice(&text).map_err(|e| bad(e.to_string()));
    };
    if password.is_empty() {
        return Err(bad("encrypted, and no password is given".into()));
    }
    let (_, document) =
        Document::from_pem(one_pem(&plain[from..])).map_err(|e| bad(e.to_string()))?;
    let encrypted: EncryptedPrivateKeyInfoRef<'_> = document
        .as_bytes()
        .try_into()
        .map_err(|e: pkcs8::Error| bad(e.to_string()))?;
    let opened = encrypted
        .decrypt(password)
        .map_err(|_| bad("bad decrypt".into()))?;
    Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}

/// The first PEM block of a text that begins with one.
fn one_pem(text: &str) -> &str {
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    text.find(END).map_or(text, |i| &text[..i + END.len()])
}

/// A certificate chain with its key. They must belong together.
pub fn pair(cert: &Path, key: &Path, password: &[u8]) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert)?;
    let key_der = private_key(key, password)?;
    let signer = default_provider().key_provider.load_private_key(key_der);
    let signer = signer.map_err(|e| TlsError::file("private key", key, e))?;
    let pair = CertifiedKey::new(chain, signer);
    match pair.keys_match() {
        Err(e @ rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::file("private key", key, e))
        }
        // A certificate too old to be taken apart here (version 1) may still be shown to the peer.
        _ => Ok(pair),
    }
}

/// The authorities in a file and in the files of a directory. Files of the directory that hold no certificate are passed over.
pub fn authorities(file: Option<&Path>, dir: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        for cert in certificates(path)? {
            roots
                .add(cert)
                .map_err(|e| TlsError::file("CA certificate", path, e))?;
        }
    }
    if let Some(path) = dir {
        let entries = fs::read_dir(path).map_err(|e| TlsError::file("CA certificate", path, e))?;
        for entry in entries.flatten().filter(|e| e.path().is_file()) {
            for cert in certificates(&entry.path()).unwrap_or_default() {
                roots.add_parsable_certificates([cert]);
            }
        }
    }
    Ok(roots)
}
