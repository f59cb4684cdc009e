//! The binary. Under another name it is another tool, as upstream: see `cli`.

use redstart::cli::Invocation;
use redstart::sys::alloc::Jemalloc;
use redstart::{commands, config, persist, server};
use std::ffi::OsString;
use std::io::Write;

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
            };
            server::startup::serve(&line, sentinel, &commands::all(), reports)
        }
        Invocation::CheckRdb { file } => check_rdb(&file.to_string_lossy()),
        Invocation::CheckAof { .. } => {
            refuse("Checking append only files is not part of this version.")
        }
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
