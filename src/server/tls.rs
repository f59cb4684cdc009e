//! TLS as the server uses it: contexts from the configuration, sessions for new connections.
//!
//! Contexts exist while something needs them: `tls-port`, `tls-replication` or `tls-cluster`. They are loaded at start (failing
//! ends the start) and anew by CONFIG SET of any TLS setting (failing refuses the change); sessions under way keep theirs.

use super::Server;
use crate::config::{Config, TlsAuthClients};
use crate::net::Conn;
use crate::net::tls::{ClientAuth, Contexts, Session, Settings, TlsError};
use std::path::Path;

/// Whether anything of this configuration speaks TLS.
fn is_wanted(c: &Config) -> bool {
    c.tls_port != 0 || c.tls_replication || c.tls_cluster
}

fn load(c: &Config) -> Result<Contexts, TlsError> {
    fn path(t: &crate::config::Text) -> Option<&Path> {
        (!t.is_empty()).then(|| t.as_path())
    }
    Contexts::load(&Settings {
        cert: path(&c.tls_cert_file),
        key: path(&c.tls_key_file),
        key_password: c.tls_key_file_pass.as_bytes(),
        client_cert: path(&c.tls_client_cert_file),
        client_key: path(&c.tls_client_key_file),
        client_key_password: c.tls_client_key_file_pass.as_bytes(),
        ca_file: path(&c.tls_ca_cert_file),
        ca_dir: path(&c.tls_ca_cert_dir),
        dh_params: path(&c.tls_dh_params_file),
        auth_clients: match c.tls_auth_clients {
            TlsAuthClients::Yes => ClientAuth::Required,
            TlsAuthClients::Optional => ClientAuth::Optional,
            TlsAuthClients::No => ClientAuth::None,
        },
        outgoing: c.tls_replication || c.tls_cluster,
        protocols: &c.tls_protocols.to_str_lossy(),
        ciphers: &c.tls_ciphers.to_str_lossy(),
        ciphersuites: &c.tls_ciphersuites.to_str_lossy(),
        prefer_server_ciphers: c.tls_prefer_server_ciphers,
        session_caching: c.tls_session_caching,
        cache_size: c.tls_session_cache_size as usize,
        cache_timeout_s: c.tls_session_cache_timeout.into(),
    })
}

impl Server {
    /// A session with another node at `host`, if nodes are spoken to by TLS (`tls-cluster`).
    pub fn node_session(&self, host: &str) -> Option<Result<Session, TlsError>> {
        let contexts = self.config.tls_cluster.then_some(self.tls.as_ref()?)?;
        Some(contexts.connect(host))
    }

    /// Loads certificates and settings, if anything needs them. False: why was logged, and the old ones stay.
    pub fn load_tls(&mut self) -> bool {
        if !is_wanted(&self.config) {
            self.tls = None;
            return true;
        }
        match load(&self.config) {
            Ok(contexts) => self.tls = Some(contexts),
            Err(e) => {
                log::warn!("{e}");
                return false;
            }
        }
        true
    }

    /// Makes an accepted connection speak TLS. None when there is nothing to do so with.
    pub(super) fn welcome_tls(&self, conn: Conn) -> Option<Conn> {
        let session = self.tls.as_ref()?.accept();
        session
            .map(|s| conn.with_tls(s))
            .map_err(|e| log::warn!("Error accepting a client connection: {e}"))
            .ok()
    }

    /// Makes a connection that we opened to another server at `host` speak TLS, if the configuration says so
    /// (`tls-replication`). Err: why not, for the log.
    pub fn connect_tls(&self, conn: Conn, host: &str) -> Result<Conn, TlsError> {
        if !self.config.tls_replication {
            return Ok(conn);
        }
        let contexts = self.tls.as_ref().ok_or(TlsError::NoCertificate)?;
        Ok(conn.with_tls(contexts.connect(host)?))
    }
}
