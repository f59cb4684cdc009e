//! The check tool beside the real one: the same lines, the same exit codes.
use super::*;
use std::path::Path;
use std::process::Command;

const NOW_MS: i64 = 1_790_000_000_000;

fn ours(path: &str) -> (i32, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["redis-check-rdb".to_string(), path.to_string()];
    let code = check::main(&args, "redis-check-rdb 0", NOW_MS, &mut out, &mut err);
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

/// Lines without what legitimately differs: source lines and log lines of upstream, and the offset it prints as zero.
/// Inside streams upstream words an early end by the part it was reading; here it is an early end like any other.
fn comparable(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.contains(":C "));
    lines
        .map(
            |line| match (line.find("Internal error in RDB"), line.find(" -> ")) {
                (Some(from), Some(_))
                    if [
                        "I/O error",
                        "failed",
                        "Error reading",
                        "short read",
                        "Short read",
                    ]
                    .iter()
                    .any(|w| line.contains(w))
                        && !line.contains("integrity check") =>
                {
                    format!("{}Unexpected EOF reading RDB file", &line[..from])
                }
                (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
                _ => line.to_string(),
            },
        )
        .collect()
}

/// The 8.2.3 server under the tool's name, if it is installed.
fn real_tool(dir: &Path) -> Option<std::path::PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|p| p.join("redis-8.2.3"))
        .find(|p| p.exists())?;
    let link = dir.join("redis-check-rdb");
    std::os::unix::fs::symlink(std::fs::canonicalize(found).ok()?, &link).ok()?;
    Some(link)
}

#[test]
fn says_what_the_real_tool_says() {
    let dir = tempfile::tempdir().unwrap();
    let Some(tool) = real_tool(dir.path()) else {
        return eprintln!("skipped: redis-8.2.3 is not installed");
    };
    let path = dir.path().join("x.rdb");
    let path = path.to_str().unwrap();
    let compare = |bytes: &[u8], what: &str| {
        std::fs::write(path, bytes).unwrap();
        let real = Command::new(&tool).arg(path).output().unwrap();
        let (code, out, _) = ours(path);
        assert_eq!(
            comparable(&out),
            comparable(&String::from_utf8_lossy(&real.stdout)),
            "{what}"
        );
        assert_eq!(Some(code), real.status.code(), "{what}");
    };
    for name in ["redis-7.0.15.rdb", "redis-8.2.3.rdb", "old-formats.rdb"] {
        let bytes = data(name);
        compare(&bytes, name);
        for len in (0..bytes.len()).step_by(23) {
            compare(&bytes[..len], &format!("{name} cut at {len}"));
        }
    }
    for bytes in [
        &b"REDIS0013xxxx"[..],
        b"REBIS0009xxxx",
        b"",
        b"REDIS0010\xfe\x85",
        b"REDIS0010\xfe\x00\x63\x01a",
        b"REDIS0010\xfe\x00\x00\xc7",
        b"REDIS0010\xfe\x00\x02\x01a\x00\xff",
        b"REDIS0010\xfe\x00\x10\x01a\x07\x07\0\0\0\x01\0\xfe\xff",
        b"REDIS0010\xfe\x00\x00\x01a\xc3\x02\x20\x80\x00\xff",
        b"REDIS0010\xfe\x00\x00\x01a\x01b\xffabcdefgh",
        b"REDIS0010\xfe\x00\x00\x01a\x01b\xff\0\0\0\0\0\0\0\0",
        b"REDIS0003\xfe\x00\x00\x01a\x01b\xff",
        b"REDIS0010\xfa\x03a\x00b\x03x\x01y\xff\0\0\0\0\0\0\0\0",
        b"REDIS0010\xf7\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x02\x02\x02\x00\xff\0\0\0\0\0\0\0\0",
        b"REDIS0010\xfe\x00\x07\x01a\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x02\x00\xff\0\0\0\0\0\0\0\0",
        b"REDIS0012\xfe\x00\xf4\x01\x01\x00\x00\x01a\x01b\xff\0\0\0\0\0\0\0\0",
        b"REDIS0010\xfe\x00\xfc\xe8\x03\0\0\0\0\0\0\x00\x01a\x01b\xff\0\0\0\0\0\0\0\0",
    ] {
        compare(bytes, &bytes.escape_ascii().to_string());
    }
}

#[test]
fn arguments_and_missing_files() {
    let (code, out, err) = ours("/nonexistent/x.rdb");
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (1, "[offset 0] Checking RDB file /nonexistent/x.rdb\n", "")
    );
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(
        check::main(&["tool".into()], "", NOW_MS, &mut out, &mut err),
        1
    );
    assert_eq!(err, b"Usage: tool <rdb-file-name>\n");
    assert_eq!(
        check::main(
            &["tool".into(), "-v".into()],
            "tool 1",
            NOW_MS,
            &mut out,
            &mut err
        ),
        0
    );
    assert_eq!(out, b"tool 1\n");
}

#[test]
fn duplicates_are_damage() {
    let mut out = Vec::new();
    let bytes = b"REDIS0010\xfe\x00\x02\x01s\x02\x01m\x01m\xff\0\0\0\0\0\0\0\0";
    let verdict = check::check(&bytes[..], NOW_MS, &mut out).unwrap();
    let check::Verdict::Damaged(error) = verdict else {
        panic!("not found")
    };
    assert_eq!(
        (error.offset, error.reason_text().as_str()),
        (19, "Duplicate set members detected")
    );
}
