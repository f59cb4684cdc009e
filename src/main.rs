//! The binary. Under another name it is another tool, as upstream: see `cli`.

use redstart::cli::Invocation;
use redstart::persist::aof::check::{self, Job};
use redstart::sys::alloc::Jemalloc;
use redstart::{commands, config, persist, server};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let compat = config::Config::default().redis_compat_version;
    let code = match Invocation::from_args(&args, &compat.to_str_lossy()) {
        Invocation::Server { sentinel: true, .. } => {
            refuse("Sentinel mode is not part of this version.")
        }
        Invocation::Server { line, sentinel } => {
            let reports = server::Reports {
                info: commands::info::report,
                metrics: commands::metrics::report,
            };
            server::startup::serve(&line, sentinel, &commands::all(), reports)
        }
        Invocation::CheckRdb { file } => check_rdb(&file.to_string_lossy()),
        Invocation::CheckAof {
            file,
            fix,
            truncate_to_timestamp,
        } => check_aof(&file, fix, truncate_to_timestamp),
        Invocation::Print {
            text,
            to_stderr,
            code,
        } => print(&text, to_stderr, code),
    };
    std::process::exit(code);
}

fn refuse(why: &str) -> i32 {
    eprintln!("{why}");
    1
}

fn print(text: &str, to_stderr: bool, code: i32) -> i32 {
    // A closed pipe is the reader's choice.
    let _ = if to_stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    code
}

fn check_rdb(file: &str) -> i32 {
    let args = ["redis-check-rdb".to_string(), file.to_string()];
    let now_ms = redstart::sys::clock::wall_ms();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    persist::rdb::check::main(&args, "", now_ms, &mut out, &mut err)
}

fn check_aof(file: &Path, fix: bool, truncate_to_timestamp: Option<i64>) -> i32 {
    let job = match truncate_to_timestamp {
        Some(at) => Job::CutAt(at),
        None if fix => Job::Fix,
        None => Job::Look,
    };
    let now_ms = redstart::sys::clock::wall_ms();
    let (mut input, mut out) = (std::io::stdin().lock(), std::io::stdout());
    check::main(file, job, now_ms, &mut input, &mut out)
}
