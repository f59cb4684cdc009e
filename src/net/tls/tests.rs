//! Sessions against each other over pipes in memory that take and give little at a time.

use super::*;
use crate::ds::rng::Rng;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::path::PathBuf;

fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/tls", name]
        .iter()
        .collect()
}

/// Both ends of a wire that holds `room` bytes each way.
struct Wire {
    room: usize,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    cut: bool,
}

struct End<'w>(&'w mut Wire, bool);

impl Read for End<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let cut = self.0.cut;
        let from = if self.1 {
            &mut self.0.to_server
        } else {
            &mut self.0.to_client
        };
        if from.is_empty() && !cut {
            return Err(ErrorKind::WouldBlock.into());
        }
        from.read(buf)
    }
}

impl Write for End<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = self.0.room;
        let to = if self.1 {
            &mut self.0.to_client
        } else {
            &mut self.0.to_server
        };
        let n = buf.len().min(room.saturating_sub(to.len()));
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        to.extend(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Paths of what one side shows and trusts.
struct Side {
    cert: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
    auth: ClientAuth,
    password: &'static str,
    protocols: &'static str,
    ciphers: &'static str,
}

impl Side {
    fn new(name: &str) -> Side {
        Side {
            cert: file(&format!("{name}.crt")),
            key: file(&format!("{name}.key")),
            ca: Some(file("ca.crt")),
            auth: ClientAuth::Required,
            password: "",
            protocols: "",
            ciphers: "",
        }
    }

    fn load(&self) -> Result<Contexts, TlsError> {
        Contexts::load(&Settings {
            cert: Some(&self.cert),
            key: Some(&self.key),
            key_password: self.password.as_bytes(),
            client_cert: None,
            client_key: None,
            client_key_password: b"",
            ca_file: self.ca.as_deref(),
            ca_dir: None,
            dh_params: None,
            auth_clients: self.auth,
            outgoing: false,
            protocols: self.protocols,
            ciphers: self.ciphers,
            ciphersuites: "",
            prefer_server_ciphers: false,
            session_caching: true,
            cache_size: 100,
            cache_timeout_s: 300,
        })
    }
}

struct Pair {
    wire: Wire,
    server: Session,
    client: Session,
}

impl Pair {
    fn new(server: &Side, client: &Side, room: usize) -> Pair {
        let wire = Wire {
            room,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            cut: false,
        };
        Pair {
            wire,
            server: server.load().unwrap().accept().unwrap(),
            client: client.load().unwrap().connect("127.0.0.1").unwrap(),
        }
    }

    /// Lets both work until they have agreed; the first error otherwise.
    fn agree(&mut self) -> io::Result<()> {
        let mut buf = Vec::new();
        for _ in 0..10_000 {
            for (session, server) in [(&mut self.client, false), (&mut self.server, true)] {
                let mut end = End(&mut self.wire, server);
                session.flush(&mut end).or_else(would_block)?;
                match session.read(&mut end, &mut buf, 100) {
                    Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e),
                }
            }
            let quiet = self.wire.to_client.is_empty() && self.wire.to_server.is_empty();
            if quiet && !self.client.is_handshaking() && !self.server.is_handshaking() {
                return Ok(());
            }
        }
        panic!("the handshake does not end");
    }
}

fn would_block(e: io::Error) -> io::Result<bool> {
    if e.kind() == ErrorKind::WouldBlock {
        Ok(false)
    } else {
        Err(e)
    }
}

#[test]
fn bytes_arrive_whatever_the_wire_holds() {
    let mut rng = Rng::new(21);
    for room in [1, 7, 100, 5000, 40_000, 1 << 20] {
        let mut pair = Pair::new(&Side::new("server"), &Side::new("client"), room);
        pair.agree().unwrap();
        let len = if room < 100 { 3000 } else { 200_000 };
        let sent: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
        for from_server in [true, false] {
            let (mut done, mut got) = (0, Vec::new());
            while got.len() < sent.len() {
                let (writer, reader) = match from_server {
                    true => (&mut pair.server, &mut pair.client),
                    false => (&mut pair.client, &mut pair.server),
                };
                let n = [1, 50, 3000, sent.len()][rng.below(4)].min(sent.len() - done);
                let piece = &sent[done..done + n];
                let (a, b) = piece.split_at(rng.below(n + 1));
                match writer.write(
                    &mut End(&mut pair.wire, from_server),
                    &[IoSlice::new(a), IoSlice::new(b)],
                ) {
                    Ok(n) => done += n,
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
                let most = [1, 10, 16_384, 70_000][rng.below(4)];
                match reader.read(&mut End(&mut pair.wire, !from_server), &mut got, most) {
                    Ok(n) => assert!(n > 0 && n <= most),
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::WouldBlock);
                        assert!(!reader.has_more());
                    }
                }
            }
            assert_eq!(got, sent);
        }
    }
}

#[test]
fn a_goodbye_is_the_end_of_the_stream() {
    for polite in [true, false] {
        let mut pair = Pair::new(&Side::new("server"), &Side::new("client"), 100_000);
        pair.agree().unwrap();
        let mut end = End(&mut pair.wire, false);
        pair.client
            .write(&mut end, &[IoSlice::new(b"last words")])
            .unwrap();
        if polite {
            pair.client.close(&mut end);
        }
        pair.wire.cut = true;
        let mut got = Vec::new();
        let mut end = End(&mut pair.wire, true);
        assert_eq!(pair.server.read(&mut end, &mut got, 4).unwrap(), 4);
        assert_eq!(pair.server.read(&mut end, &mut got, 100).unwrap(), 6);
        assert_eq!(pair.server.read(&mut end, &mut got, 100).unwrap(), 0);
        assert_eq!(got, b"last words");
    }
}

#[test]
fn who_is_let_in() {
    let server = Side::new("server");
    for good in ["client", "ec", "generic", "server"] {
        Pair::new(&server, &Side::new(good), 100_000)
            .agree()
            .unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    let e = Pair::new(&server, &Side::new("stranger"), 100_000)
        .agree()
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidData, "{e}");
    let open = Side {
        auth: ClientAuth::None,
        ca: None,
        ..Side::new("server")
    };
    Pair::new(&open, &Side::new("stranger"), 100_000)
        .agree()
        .unwrap();
    // A bad certificate is refused even where none is needed.
    let optional = Side {
        auth: ClientAuth::Optional,
        ..Side::new("server")
    };
    assert!(
        Pair::new(&optional, &Side::new("stranger"), 100_000)
            .agree()
            .is_err()
    );
}

#[test]
fn servers_show_any_certificate_of_the_authority() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        for name in ["server", "ec", "generic"] {
            let side = Side {
                protocols: version,
                ..Side::new(name)
            };
            let mut pair = Pair::new(&side, &Side::new("generic"), 100_000);
            pair.agree()
                .unwrap_or_else(|e| panic!("{name} {version}: {e}"));
            let spoken = pair.server.describe().unwrap();
            assert!(spoken.starts_with(&version.replace('.', "_")), "{spoken}");
        }
    }
    let stranger = Side {
        auth: ClientAuth::None,
        ..Side::new("stranger")
    };
    assert!(
        Pair::new(&stranger, &Side::new("client"), 100_000)
            .agree()
            .is_err()
    );
}

#[test]
fn ciphers_and_versions_must_meet() {
    let server = Side {
        protocols: "TLSv1.2",
        ciphers: "CHACHA20",
        ..Side::new("server")
    };
    let mut pair = Pair::new(&server, &Side::new("client"), 100_000);
    pair.agree().unwrap();
    assert_eq!(
        pair.server.describe().unwrap(),
        "TLSv1_2 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    );
    let client = Side {
        protocols: "TLSv1.3",
        ..Side::new("client")
    };
    assert!(Pair::new(&server, &client, 100_000).agree().is_err());
    let client = Side {
        ciphers: "AESGCM",
        protocols: "TLSv1.2",
        ..Side::new("client")
    };
    assert!(Pair::new(&server, &client, 100_000).agree().is_err());
}

#[test]
fn files_that_do_not_work_are_named() {
    let why = |side: Side| side.load().unwrap_err().to_string();
    let locked = || Side {
        key: file("locked.key"),
        ..Side::new("server")
    };
    assert!(why(locked()).contains("no password"));
    assert!(
        why(Side {
            password: "12",
            ..locked()
        })
        .ends_with("bad decrypt")
    );
    Side {
        password: "1234",
        ..locked()
    }
    .load()
    .unwrap();
    assert!(
        why(Side {
            key: file("client.key"),
            ..Side::new("server")
        })
        .starts_with("Failed to load private key: ")
    );
    assert!(
        why(Side {
            cert: file("none.crt"),
            ..Side::new("server")
        })
        .ends_with("none.crt: No such file or directory")
    );
    assert!(
        why(Side {
            cert: file("gen.sh"),
            ..Side::new("server")
        })
        .starts_with("Failed to load certificate: ")
    );
    assert!(
        why(Side {
            ca: None,
            ..Side::new("server")
        })
        .starts_with("Either tls-ca-cert-file")
    );
    assert!(
        why(Side {
            protocols: "TLSv9",
            ..Side::new("server")
        })
        .starts_with("Invalid tls-protocols")
    );
    assert!(
        why(Side {
            ciphers: "NONE",
            ..Side::new("server")
        })
        .starts_with("Failed to configure ciphers")
    );
}

#[test]
fn garbage_breaks_the_session_and_nothing_else() {
    let mut rng = Rng::new(4);
    let contexts = Side::new("server").load().unwrap();
    for round in 0..3000 {
        let mut pair_bytes: VecDeque<u8> = if round % 2 == 0 {
            (0..rng.below(300)).map(|_| rng.below(256) as u8).collect()
        } else {
            // A real hello, damaged.
            let mut pair = Pair::new(&Side::new("server"), &Side::new("client"), 100_000);
            pair.client.flush(&mut End(&mut pair.wire, false)).unwrap();
            pair.wire.to_server
        };
        if round % 2 == 1 {
            for _ in 0..1 + rng.below(3) {
                let i = rng.below(pair_bytes.len());
                pair_bytes[i] = rng.below(256) as u8;
            }
        }
        let mut wire = Wire {
            room: 100_000,
            to_server: pair_bytes,
            to_client: VecDeque::new(),
            cut: true,
        };
        let mut server = contexts.accept().unwrap();
        let mut buf = Vec::new();
        match server.read(&mut End(&mut wire, true), &mut buf, 1000) {
            Ok(n) => assert_eq!(n, 0),
            Err(e) => assert_eq!(e.kind(), ErrorKind::InvalidData),
        }
        assert!(buf.is_empty());
    }
}

#[test]
fn who_speaks_no_tls_gets_no_answer() {
    let mut wire = Wire {
        room: 100_000,
        to_server: b"PING\r\n".iter().copied().collect(),
        to_client: VecDeque::new(),
        cut: false,
    };
    let mut server = Side::new("server").load().unwrap().accept().unwrap();
    let e = server
        .read(&mut End(&mut wire, true), &mut Vec::new(), 100)
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidData);
    server.close(&mut End(&mut wire, true));
    assert!(wire.to_client.is_empty() && !server.wants_write());
}
