//! TLS from outside: who is let in, what a reload changes, big values both ways, TLS alone, `redis-cli --tls`.
//!
//! The certificates are in `tests/data/tls` (see `gen.sh` there). The client is rustls, which checks no certificate here: what
//! the server shows is looked at where it matters.

use crate::harness::{Conn, Reply, Server};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/tls", name]
        .iter()
        .collect()
}

fn path(name: &str) -> String {
    file(name).display().to_string()
}

/// Takes any certificate.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A connection by TLS.
struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// Connects and shows the certificate of this name, or none.
    fn open(port: u16, cert: Option<&str>) -> Tls {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting));
        let config = match cert {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain =
                    CertificateDer::pem_file_iter(file(&format!("{name}.crt"))).expect("a file");
                let key =
                    PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).expect("a key");
                let key = default_provider()
                    .key_provider
                    .load_private_key(key)
                    .expect("a key of a known kind");
                // Not by `with_client_auth_cert`, which takes no certificates of version 1.
                let pair =
                    CertifiedKey::new(chain.map(|c| c.expect("a certificate")).collect(), key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        Tls(StreamOwned::new(session, socket))
    }

    /// Sends a command and reads its reply up to the line end.
    fn line(&mut self, command: &str) -> io::Result<String> {
        self.0.write_all(format!("{command}\r\n").as_bytes())?;
        let mut out = Vec::new();
        while !out.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            out.push(byte[0]);
        }
        out.truncate(out.len() - 2);
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// The certificate the server showed.
    fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("a certificate")[0].to_vec()
    }
}

fn der(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(file(name))
        .expect("a certificate")
        .to_vec()
}

/// What a reply says.
trait TextOf {
    fn text_of(&self) -> String;
}

impl TextOf for Reply {
    fn text_of(&self) -> String {
        let text = self
            .bytes()
            .map(|b| String::from_utf8_lossy(b).into_owned());
        text.unwrap_or_else(|| format!("{self:?}"))
    }
}

/// A server that listens by TLS too, on the port returned.
fn start(more: &[&str]) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let port_text = port.to_string();
    let (cert, key, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let mut args = vec![
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ];
    args.extend(more);
    (Server::start(&args), port)
}

#[test]
fn who_is_let_in() {
    let (server, port) = start(&[]);
    for good in ["client", "ec", "generic"] {
        assert_eq!(
            Tls::open(port, Some(good)).line("PING").expect(good),
            "+PONG"
        );
    }
    assert!(Tls::open(port, None).line("PING").is_err());
    assert!(Tls::open(port, Some("stranger")).line("PING").is_err());
    let mut plain = server.conn();
    assert_eq!(plain.cmd("CONFIG SET tls-auth-clients no").text_of(), "OK");
    assert_eq!(Tls::open(port, None).line("PING").expect("let in"), "+PONG");
    assert_eq!(
        plain.cmd("CONFIG SET tls-auth-clients optional").text_of(),
        "OK"
    );
    assert_eq!(Tls::open(port, None).line("PING").expect("let in"), "+PONG");
    assert!(Tls::open(port, Some("stranger")).line("PING").is_err());
}

#[test]
fn who_speaks_no_tls_is_cut_off_without_a_word() {
    let (server, port) = start(&[]);
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    socket.write_all(b"PING\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", answer.escape_ascii());
    server.wait_log("Error accepting a client connection");
    assert_eq!(server.conn().cmd("PING").text_of(), "PONG");
}

#[test]
fn big_values_and_long_pipelines() {
    let (_server, port) = start(&[]);
    let mut tls = Tls::open(port, Some("client"));
    let value: Vec<u8> = (0..5_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    tls.0
        .write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes())
        .expect("sent");
    tls.0.write_all(&value).expect("sent");
    assert_eq!(tls.line("").expect("a reply"), "+OK");
    assert_eq!(tls.line("GET k").expect("a reply"), "$5000000");
    let mut got = vec![0; value.len() + 2];
    tls.0.read_exact(&mut got).expect("the value");
    assert!(got[..value.len()] == value, "another value came back");
    for i in 0..20_000 {
        tls.0
            .write_all(format!("INCR n\r\nECHO {i}\r\n").as_bytes())
            .expect("sent");
    }
    for i in 0..20_000 {
        assert_eq!(tls.line_only().expect("a reply"), format!(":{}", i + 1));
        tls.line_only().expect("a length");
        assert_eq!(tls.line_only().expect("a text"), i.to_string());
    }
}

impl Tls {
    /// Reads a line.
    fn line_only(&mut self) -> io::Result<String> {
        let mut out = Vec::new();
        while !out.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            out.push(byte[0]);
        }
        out.truncate(out.len() - 2);
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

#[test]
fn a_reload_keeps_those_who_are_there() {
    let (server, port) = start(&[]);
    let mut old = Tls::open(port, Some("client"));
    assert_eq!(old.line("PING").expect("let in"), "+PONG");
    assert_eq!(old.shown(), der("server.crt"));
    let mut plain = server.conn();
    let both = format!(
        "CONFIG SET tls-cert-file {} tls-key-file {}",
        path("ec.crt"),
        path("ec.key")
    );
    assert_eq!(plain.cmd(&both).text_of(), "OK");
    let mut new = Tls::open(port, Some("client"));
    assert_eq!(new.line("PING").expect("let in"), "+PONG");
    assert_eq!(new.shown(), der("ec.crt"));
    // A key that does not belong to it, a file that is not there, ciphers nobody knows: refused, nothing changed.
    for bad in [
        format!("CONFIG SET tls-key-file {}", path("client.key")),
        format!("CONFIG SET tls-cert-file {}", path("none.crt")),
        "CONFIG SET tls-ciphers NOTHING".to_owned(),
    ] {
        let refused = plain.cmd(&bad);
        let text = refused.error_text().expect("an error");
        assert!(
            text.contains("Unable to update TLS configuration"),
            "{text}"
        );
    }
    let locked = format!(
        "CONFIG SET tls-key-file-pass 1234 tls-cert-file {} tls-key-file {}",
        path("server.crt"),
        path("locked.key")
    );
    assert_eq!(plain.cmd(&locked).text_of(), "OK");
    let mut newest = Tls::open(port, Some("client"));
    assert_eq!(newest.line("PING").expect("let in"), "+PONG");
    assert_eq!(newest.shown(), der("server.crt"));
    assert_eq!(old.line("PING").expect("still there"), "+PONG");
    assert_eq!(new.line("PING").expect("still there"), "+PONG");
}

#[test]
fn tls_alone_and_back() {
    let (server, port) = start(&[]);
    let mut tls = Tls::open(port, Some("client"));
    assert_eq!(tls.line("CONFIG SET port 0").expect("a reply"), "+OK");
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
    let back = format!("CONFIG SET port {} tls-port 0", server.port);
    assert_eq!(tls.line(&back).expect("a reply"), "+OK");
    assert_eq!(server.conn().cmd("PING").text_of(), "PONG");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(tls.line("PING").expect("still there"), "+PONG");
}

#[test]
fn redis_cli_speaks_to_it() {
    let (_server, port) = start(&["--tls-protocols", "TLSv1.2"]);
    let cli = |cert: &str| {
        Command::new("redis-cli")
            .args([
                "-p",
                &port.to_string(),
                "--tls",
                "--cacert",
                &path("ca.crt"),
            ])
            .args([
                "--cert",
                &path(&format!("{cert}.crt")),
                "--key",
                &path(&format!("{cert}.key")),
                "PING",
            ])
            .output()
    };
    let Ok(good) = cli("client") else {
        eprintln!("SKIP: no redis-cli in PATH");
        return;
    };
    let said = String::from_utf8_lossy(&good.stderr).into_owned();
    if said.contains("Unrecognized option") {
        eprintln!("SKIP: this redis-cli was built without TLS");
        return;
    }
    assert_eq!(good.stdout, b"PONG\n", "{said}");
    assert_ne!(cli("stranger").expect("redis-cli").stdout, b"PONG\n");
}

#[test]
fn a_replica_follows_its_master_by_tls() {
    let (master, master_port) = start(&["--tls-replication", "yes"]);
    let (replica, _) = start(&[
        "--tls-replication",
        "yes",
        "--tls-client-cert-file",
        &path("generic.crt"),
        "--tls-client-key-file",
        &path("generic.key"),
    ]);
    let mut to_master = master.conn();
    assert_eq!(to_master.cmd("SET before sync").text_of(), "OK");
    let mut to_replica = replica.conn();
    assert_eq!(
        to_replica
            .cmd(&format!("REPLICAOF 127.0.0.1 {master_port}"))
            .text_of(),
        "OK"
    );
    let eventually = |what: &str, conn: &mut Conn, key: &str, value: &str| {
        for _ in 0..400 {
            if conn.cmd(&format!("GET {key}")).text_of() == value {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{what}: {key} never came");
    };
    eventually("full sync", &mut to_replica, "before", "sync");
    assert_eq!(to_master.cmd("SET after sync").text_of(), "OK");
    eventually("stream", &mut to_replica, "after", "sync");
}

#[test]
fn keys_migrate_by_tls() {
    let (from, _) = start(&["--tls-cluster", "yes"]);
    let (to, to_port) = start(&[]);
    let mut source = from.conn();
    let big = "x".repeat(300_000);
    assert_eq!(source.call(&["SET", "k", &big]).text_of(), "OK");
    let moved = format!("MIGRATE 127.0.0.1 {to_port} k 0 5000");
    assert_eq!(source.cmd(&moved).text_of(), "OK");
    assert_eq!(to.conn().cmd("GET k").text_of(), big);
    // Who does not speak TLS is no target.
    assert_eq!(source.cmd("SET k v").text_of(), "OK");
    let refused = source.cmd(&format!("MIGRATE 127.0.0.1 {} k 0 500", to.port));
    assert!(
        refused.error_text().is_some_and(|e| e.starts_with("IOERR")),
        "{refused:?}"
    );
    assert_eq!(source.cmd("GET k").text_of(), "v");
}
