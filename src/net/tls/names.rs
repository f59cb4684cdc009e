//! The words of `tls-protocols`, `tls-ciphers` and `tls-ciphersuites`: OpenSSL's names for what rustls knows.
//!
//! `tls-ciphers` is OpenSSL's little language: names and group words between colons, `-x` takes out, `!x` takes out for good,
//! `+x` moves to the end, `@..` asks for an order or a level (ignored: every suite here is of the strongest level). As there,
//! unknown names are passed over, and only a list that names nothing known is an error.
//!
//! Compat: rustls has no TLS 1.0 and 1.1, no finite-field Diffie-Hellman, no plain RSA key exchange and no CBC suites.

use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// OpenSSL's name of each suite of TLS 1.2, with the words that mean it too.
const SUITES_1_2: &[(CipherSuite, &str, &[&str])] = &[
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["aECDSA", "ECDSA", "AES256", "AES", "AESGCM", "SHA384"],
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["aRSA", "AES256", "AES", "AESGCM", "SHA384"],
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["aECDSA", "ECDSA", "CHACHA20"],
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        &["aRSA", "CHACHA20"],
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["aECDSA", "ECDSA", "AES128", "AES", "AESGCM", "SHA256"],
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["aRSA", "AES128", "AES", "AESGCM", "SHA256"],
    ),
];

/// Words that mean every suite of TLS 1.2 there is.
const EVERY: &[&str] = &[
    "DEFAULT",
    "ALL",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "AEAD",
    "TLSv1.2",
    "COMPLEMENTOFDEFAULT",
];

/// Names of the suites of TLS 1.3.
const SUITES_1_3: &[(CipherSuite, &str)] = &[
    (
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
    ),
    (
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
    ),
];

fn supported(suite: CipherSuite) -> Option<SupportedCipherSuite> {
    ALL_CIPHER_SUITES
        .iter()
        .copied()
        .find(|s| s.suite() == suite)
}

/// The suites of TLS 1.2 that an OpenSSL cipher list means, in its order. None when it names nothing known.
pub fn ciphers(list: &str) -> Option<Vec<SupportedCipherSuite>> {
    let mut chosen: Vec<CipherSuite> = Vec::new();
    let mut banned: Vec<CipherSuite> = Vec::new();
    for word in list.split([':', ',', ' ', ';']).filter(|w| !w.is_empty()) {
        if word.starts_with('@') {
            continue;
        }
        let bare = word.trim_start_matches(['-', '!', '+']);
        let meant = meaning(bare);
        match word.as_bytes()[0] {
            b'-' => chosen.retain(|s| !meant.contains(s)),
            b'!' => {
                chosen.retain(|s| !meant.contains(s));
                banned.extend(meant);
            }
            b'+' => {
                let (moved, kept): (Vec<_>, Vec<_>) =
                    chosen.iter().partition(|s| meant.contains(s));
                chosen = kept.into_iter().chain(moved).collect();
            }
            _ => {
                for s in meant {
                    if !chosen.contains(&s) && !banned.contains(&s) {
                        chosen.push(s);
                    }
                }
            }
        }
    }
    let suites: Vec<_> = chosen.into_iter().filter_map(supported).collect();
    (!suites.is_empty()).then_some(suites)
}

/// The suites a word means; `A+B` means those that both do.
fn meaning(word: &str) -> Vec<CipherSuite> {
    let is = |name: &str, words: &[&str], part: &str| {
        EVERY.contains(&part) || name == part || words.contains(&part)
    };
    SUITES_1_2
        .iter()
        .filter(|(_, name, words)| word.split('+').all(|part| is(name, words, part)))
        .map(|(s, ..)| *s)
        .collect()
}

/// The suites of TLS 1.3 that a list of names means. None when a name is unknown, or there is none.
pub fn ciphersuites(list: &str) -> Option<Vec<SupportedCipherSuite>> {
    let mut out = Vec::new();
    for word in list.split(':').filter(|w| !w.is_empty()) {
        let (suite, _) = SUITES_1_3.iter().find(|(_, name)| *name == word)?;
        out.extend(supported(*suite));
    }
    (!out.is_empty()).then_some(out)
}

/// All suites of one version, the strongest first.
pub fn all(version: ProtocolVersion) -> Vec<SupportedCipherSuite> {
    let suites = ALL_CIPHER_SUITES.iter().copied();
    suites.filter(|s| s.version().version == version).collect()
}

/// The versions a list of names means (empty: the default, 1.2 and 1.3). None when a name is unknown; versions before 1.2 are
/// known but not spoken.
pub fn protocols(list: &str) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut out: Vec<&'static SupportedProtocolVersion> = Vec::new();
    let mut words = list.split_ascii_whitespace().peekable();
    if words.peek().is_none() {
        return Some(vec![&rustls::version::TLS12, &rustls::version::TLS13]);
    }
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => out.push(&rustls::version::TLS12),
            "tlsv1.3" => out.push(&rustls::version::TLS13),
            "tlsv1" | "tlsv1.1" => {}
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Option<Vec<&'static str>> {
        let name = |s: SupportedCipherSuite| {
            SUITES_1_2
                .iter()
                .find(|(c, ..)| *c == s.suite())
                .map(|(_, n, _)| *n)
        };
        ciphers(list).map(|l| l.into_iter().filter_map(name).collect())
    }

    #[test]
    fn cipher_lists_as_openssl_reads_them() {
        assert_eq!(names("DEFAULT").map(|n| n.len()), Some(6));
        assert_eq!(names("DEFAULT:-AES128-SHA256").map(|n| n.len()), Some(6));
        assert_eq!(
            names("ALL:!aECDSA:!CHACHA20"),
            Some(vec![
                "ECDHE-RSA-AES256-GCM-SHA384",
                "ECDHE-RSA-AES128-GCM-SHA256"
            ])
        );
        assert_eq!(
            names("aRSA+AESGCM:+AES256"),
            Some(vec![
                "ECDHE-RSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES256-GCM-SHA384"
            ])
        );
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:NO-SUCH"),
            Some(vec!["ECDHE-RSA-AES128-GCM-SHA256"])
        );
        assert_eq!(
            names("!aRSA:ALL@STRENGTH:ALL:@SECLEVEL=1").map(|n| n.len()),
            Some(3)
        );
        assert_eq!(names("AES128-SHA256:AES256-SHA256"), None);
        assert_eq!(names(""), None);
    }

    #[test]
    fn suites_and_versions() {
        assert_eq!(
            ciphersuites("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256").map(|l| l.len()),
            Some(2)
        );
        assert!(ciphersuites("TLS_NULL").is_none());
        assert_eq!(protocols("").map(|p| p.len()), Some(2));
        assert_eq!(protocols("TLSv1.1 tlsv1.2").map(|p| p.len()), Some(1));
        assert!(protocols("SSLv3").is_none());
        assert_eq!(protocols("TLSv1").map(|p| p.len()), Some(0));
        assert_eq!(all(ProtocolVersion::TLSv1_3).len(), 3);
    }
}
