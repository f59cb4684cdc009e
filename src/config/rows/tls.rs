//! TLS. The values are kept as given; whether they make a working setup is found out when they are applied.
use crate::config::build::*;
use crate::config::directive::{Apply, Row, RowFlags};
use crate::config::values::TlsAuthClients;

const INT_MAX: i64 = i32::MAX as i64;

pub(super) const ROWS: &[Row] = &[
    int("tls-port", num!(tls_port), 0, 65535).apply(Apply::TlsPort),
    int(
        "tls-session-cache-size",
        num!(tls_session_cache_size),
        0,
        INT_MAX,
    )
    .apply(Apply::Tls),
    int(
        "tls-session-cache-timeout",
        num!(tls_session_cache_timeout),
        0,
        INT_MAX,
    )
    .apply(Apply::Tls),
    flag("tls-cluster", at!(tls_cluster)).apply(Apply::Tls),
    flag("tls-replication", at!(tls_replication)).apply(Apply::Tls),
    choice("tls-auth-clients", pick!(tls_auth_clients: TlsAuthClients)).apply(Apply::Tls),
    flag("tls-prefer-server-ciphers", at!(tls_prefer_server_ciphers)).apply(Apply::Tls),
    flag("tls-session-caching", at!(tls_session_caching)).apply(Apply::Tls),
    optional_text("tls-cert-file", at!(tls_cert_file)).apply(Apply::Tls),
    optional_text("tls-key-file", at!(tls_key_file)).apply(Apply::Tls),
    optional_text("tls-key-file-pass", at!(tls_key_file_pass))
        .flags(RowFlags::SENSITIVE)
        .apply(Apply::Tls),
    optional_text("tls-client-cert-file", at!(tls_client_cert_file)).apply(Apply::Tls),
    optional_text("tls-client-key-file", at!(tls_client_key_file)).apply(Apply::Tls),
    optional_text("tls-client-key-file-pass", at!(tls_client_key_file_pass))
        .flags(RowFlags::SENSITIVE)
        .apply(Apply::Tls),
    optional_text("tls-dh-params-file", at!(tls_dh_params_file)).apply(Apply::Tls),
    optional_text("tls-ca-cert-file", at!(tls_ca_cert_file)).apply(Apply::Tls),
    optional_text("tls-ca-cert-dir", at!(tls_ca_cert_dir)).apply(Apply::Tls),
    optional_text("tls-protocols", at!(tls_protocols)).apply(Apply::Tls),
    optional_text("tls-ciphers", at!(tls_ciphers)).apply(Apply::Tls),
    optional_text("tls-ciphersuites", at!(tls_ciphersuites)).apply(Apply::Tls),
];
