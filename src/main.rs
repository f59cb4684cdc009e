//! The binary. Under another name it is another tool, as upstream: see `cli`.

use redstart::sys::alloc::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() {
    env_logger::init();
    let mut config = redstart::config::Config::default();
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--port") {
        config.port = args[i + 1].parse().unwrap();
    }
    redstart::sys::signal::install();
    let mut server =
        redstart::server::Server::new(config, None, &redstart::commands::all()).unwrap();
    server.listen().unwrap();
    std::process::exit(server.run());
}
