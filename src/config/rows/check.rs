//! Texts that a directive cannot have.
use crate::config::error::Reason;

/// The placeholders of `proc-title-template`.
pub const TITLE_VARIABLES: [&str; 7] = [
    "title",
    "listen-addr",
    "server-mode",
    "port",
    "tls-port",
    "unixsocket",
    "config-file",
];

/// `proc-title-template`: not empty, and every `{...}` is a known placeholder. `{{` is a literal brace.
///
/// Compat: 8.2.3 also refuses templates whose result would be empty at that moment; here only the form counts.
pub fn title_template(value: &[u8]) -> Result<(), Reason> {
    let bad = Err(Reason::Text(
        "template format is invalid or contains unknown variables",
    ));
    if value.is_empty() {
        return bad;
    }
    let mut rest = value;
    while let Some(open) = rest.iter().position(|&b| b == b'{') {
        rest = &rest[open + 1..];
        if rest.first() == Some(&b'{') {
            rest = &rest[1..];
            continue;
        }
        let Some(close) = rest.iter().position(|&b| b == b'}') else {
            return bad;
        };
        if !TITLE_VARIABLES
            .iter()
            .any(|name| name.as_bytes() == &rest[..close])
        {
            return bad;
        }
        rest = &rest[close + 1..];
    }
    Ok(())
}

/// `redis-compat-version`: digits and dots, three numbers, each small enough to be packed into one number by clients.
pub fn version(value: &[u8]) -> Result<(), Reason> {
    let numbers: Vec<&[u8]> = value.split(|&b| b == b'.').collect();
    let number = |n: &&[u8]| matches!(n.len(), 1..=3) && n.iter().all(u8::is_ascii_digit);
    if numbers.len() == 3 && numbers.iter().all(number) {
        Ok(())
    } else {
        Err(Reason::Text("argument must be a version such as 8.2.3"))
    }
}

fn plain_name(value: &[u8], reason: &'static str) -> Result<(), Reason> {
    if value.contains(&b'/') {
        Err(Reason::Text(reason))
    } else {
        Ok(())
    }
}

/// The files of the AOF are known by text.
fn utf8(value: &[u8], reason: &'static str) -> Result<(), Reason> {
    match std::str::from_utf8(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(Reason::Text(reason)),
    }
}

/// `dbfilename`.
pub fn dbfilename(value: &[u8]) -> Result<(), Reason> {
    plain_name(value, "dbfilename can't be a path, just a filename")
}

/// `appendfilename`.
pub fn appendfilename(value: &[u8]) -> Result<(), Reason> {
    if value.is_empty() {
        return Err(Reason::Text("appendfilename can't be empty"));
    }
    plain_name(value, "appendfilename can't be a path, just a filename")?;
    utf8(value, "appendfilename has to be UTF-8")
}

/// `appenddirname`.
pub fn appenddirname(value: &[u8]) -> Result<(), Reason> {
    if value.is_empty() {
        return Err(Reason::Text("appenddirname can't be empty"));
    }
    plain_name(value, "appenddirname can't be a path, just a dirname")?;
    utf8(value, "appenddirname has to be UTF-8")
}

/// `cluster-announce-hostname`: what a DNS name may hold.
pub fn hostname(value: &[u8]) -> Result<(), Reason> {
    if value.len() >= 256 {
        return Err(Reason::Text("Hostnames must be less than 256 characters"));
    }
    if !value
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    {
        return Err(Reason::Text(
            "Hostnames may only contain alphanumeric characters, hyphens or dots",
        ));
    }
    Ok(())
}

/// `cluster-announce-human-nodename`: nothing that separates fields in nodes.conf.
pub fn human_nodename(value: &[u8]) -> Result<(), Reason> {
    if value.iter().any(|b| b"!#$%&()*+:;<>?@[]^{|}~".contains(b)) {
        return Err(Reason::Text(
            "Announced human node name contained invalid character",
        ));
    }
    Ok(())
}
