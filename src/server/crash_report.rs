//! What a crash report tells about the server and about the command that was running.
//!
//! Arguments of commands are data of users: `hide-user-data-from-log` leaves them out, and passwords are never shown.

use super::Server;
use crate::client::line::{Surroundings, describe};
use crate::client::{Client, ClientFlags};
use crate::config;
use crate::exec::Ctx;
use crate::sys::crash::Tell;
use std::io::{self, Write};

/// Arguments shown, and bytes of each.
const MAX_ARGS: usize = 32;
const MAX_ARG_LEN: usize = 128;
/// Directives whose values are nobody's business.
const SECRETS: &[&str] = &[
    "requirepass",
    "masterauth",
    "masteruser",
    "user",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
];

impl Tell for Server {
    fn tell(&self, out: &mut dyn Write) {
        // A report that cannot be written cannot be helped.
        let _ = self.tell_all(out);
    }
}

impl Server {
    fn tell_all(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n------ INFO OUTPUT ------")?;
        out.write_all(&(self.reports.info)(self, None, &[b"everything"]))?;
        writeln!(out, "\n------ CLIENT LIST OUTPUT ------")?;
        for c in self.clients.iter() {
            self.tell_client(c, out)?;
        }
        writeln!(out, "\n------ CONFIG DEBUG OUTPUT ------")?;
        let defaults = config::Config::default();
        let all = |c| config::get_matching(c, [b"*".as_slice()]);
        for ((name, value), (_, default)) in all(&self.config).into_iter().zip(all(&defaults)) {
            if value != default && !SECRETS.contains(&&*name) {
                writeln!(out, "{name} {}", String::from_utf8_lossy(&value))?;
            }
        }
        Ok(())
    }

    fn tell_client(&self, c: &Client, out: &mut dyn Write) -> io::Result<()> {
        let line = describe(
            c,
            Surroundings {
                now_s: self.clock.now_s(),
                command: c.last_command.map_or("", |id| self.registry.row(id).name),
                tracking: None,
                stream_held: 0,
            },
        );
        writeln!(out, "{line}")
    }
}

impl Tell for Ctx<'_> {
    fn tell(&self, out: &mut dyn Write) {
        let _ = self.tell_all(out);
    }
}

impl Ctx<'_> {
    fn tell_all(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n------ CURRENT CLIENT INFO ------")?;
        self.server.tell_client(self.client, out)?;
        writeln!(out, "command: {}", self.command.name)?;
        writeln!(out, "argc: {}", self.args.len())?;
        let hidden = self.server.config.hide_user_data_from_log;
        for (i, arg) in self.args.iter().take(MAX_ARGS).enumerate() {
            let name = i == 0 || i == 1 && self.command.name.contains('|');
            if hidden && !name {
                writeln!(out, "argv[{i}]: *redacted* ({} bytes)", arg.len())?;
            } else {
                let shown = &arg[..arg.len().min(MAX_ARG_LEN)];
                let more = if arg.len() > shown.len() { "..." } else { "" };
                writeln!(out, "argv[{i}]: \"{}\"{more}", shown.escape_ascii())?;
            }
        }
        if self.client.has(ClientFlags::MULTI) {
            writeln!(out, "inside a transaction")?;
        }
        Ok(())
    }
}
