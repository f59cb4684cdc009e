//! What a user may do with a command and its arguments: the one place where permissions are asked.
//!
//! [`check`] takes the user, the command and the arguments and nothing else, so that clients, queued commands, commands of
//! scripts and ACL DRYRUN all ask the same. Only clients whose user is restricted carry `ClientFlags::RESTRICTED`; the others
//! never come here. For those that do, the bit of the command is tested first; a command with one key at a fixed place (most
//! are) has its key matched without a list of keys being made.
//!
//! A denial is told in four forms (to a client, by EXEC, by a script, by DRYRUN); `redis-compat-version` before 7.2 has the
//! older texts.

use super::command::{BeginSearch, Command, CommandFlags, FindKeys, KeyFlags};
use super::keys::{self, Argv, KeyRefs, Wanted};
use super::registry::Registry;
use super::{CommandId, Ctx};
use crate::acl::commands::Fact;
use crate::acl::{Commands, Event, KeyNeed, LogContext, Reason, Selector, User, UserId};
use crate::client::{Client, ClientFlags, line};
use crate::config::Config;
use crate::resp::{Args, Error};
use crate::server::Server;
use std::ops::Range;

/// What a user may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// Run the command, or use a key or channel.
    pub reason: Reason,
    /// The argument that is the key or channel; 0 for the command.
    pub arg: usize,
}

/// The command table as the ACL room wants it.
pub fn facts(registry: &Registry) -> Commands {
    let fact = |id: CommandId| {
        let row = registry.row(id);
        let mut subs = registry.subcommands(id).map(|s| s.0);
        let first = subs.next().unwrap_or(0);
        let last = subs.last().unwrap_or(first);
        let end = if registry.subcommands(id).len() > 0 {
            last + 1
        } else {
            first
        };
        Fact {
            name: row.name,
            categories: row.categories().bits(),
            subcommands: (first, end),
            is_sub: registry.is_sub(id),
        }
    };
    Commands::new(
        registry.ids().map(fact).collect(),
        super::command::CATEGORY_NAMES,
    )
}

/// Whether a user may run a command (`id`, whose arguments fit its arity) with these arguments.
///
/// # Errors
/// What is denied; of several selectors the one that came furthest tells.
#[inline]
pub fn check<A: Argv>(
    server: &Server,
    user: UserId,
    id: CommandId,
    argv: &A,
) -> Result<(), Denied> {
    match server.acl.users.get(user) {
        Some(user) => check_user(user, server.registry.row(id), id, argv),
        // Removed; its clients are on their way out.
        None => Err(COMMAND_DENIED),
    }
}

const COMMAND_DENIED: Denied = Denied {
    reason: Reason::Command,
    arg: 0,
};

/// [`check`] for a user at hand.
pub fn check_user<A: Argv>(
    user: &User,
    command: &'static Command,
    id: CommandId,
    argv: &A,
) -> Result<(), Denied> {
    let mut found = Found::default();
    let mut furthest: Option<Denied> = None;
    for selector in user.selectors() {
        let denied = match check_selector(selector, command, id, argv, &mut found) {
            Ok(()) => return Ok(()),
            Err(denied) => denied,
        };
        if furthest.is_none_or(|before| rank(denied) > rank(before)) {
            furthest = Some(denied);
        }
    }
    Err(furthest.unwrap_or(COMMAND_DENIED))
}

/// How far a check came.
fn rank(denied: Denied) -> (u8, usize) {
    let stage = match denied.reason {
        Reason::Command => 0,
        Reason::Key => 1,
        Reason::Auth => 2,
        Reason::Channel => 3,
    };
    (stage, denied.arg)
}

/// The keys of a command, looked for once for all selectors. Where they cannot be found there are none to deny: the command
/// will fail for its arguments.
#[derive(Default)]
struct Found {
    keys: Option<KeyRefs>,
}

impl Found {
    #[inline(never)]
    fn keys<A: Argv>(&mut self, command: &'static Command, argv: &A) -> &KeyRefs {
        self.keys.get_or_insert_with(|| {
            let mut refs = KeyRefs::new();
            if keys::find(command, argv, Wanted::Keys, &mut refs).is_err() {
                refs.clear();
            }
            refs
        })
    }
}

#[inline]
fn check_selector<A: Argv>(
    selector: &Selector,
    command: &'static Command,
    id: CommandId,
    argv: &A,
    found: &mut Found,
) -> Result<(), Denied> {
    let first_arg = (argv.argc() > 1).then(|| argv.arg(1));
    if !selector.allows_command(id.0, first_arg) && !command.flags.contains(CommandFlags::NO_AUTH) {
        return Err(COMMAND_DENIED);
    }
    if !selector.all_keys() {
        check_keys(selector, command, argv, found)?;
    }
    if command.flags.contains(CommandFlags::PUBSUB) && !selector.all_channels() {
        check_channels(selector, command, argv)?;
    }
    Ok(())
}

#[inline]
fn check_keys<A: Argv>(
    selector: &Selector,
    command: &'static Command,
    argv: &A,
    found: &mut Found,
) -> Result<(), Denied> {
    let key_denied = |arg| Denied {
        reason: Reason::Key,
        arg,
    };
    if let Some((at, flags)) = only_key(command) {
        return match at < argv.argc() && !selector.allows_key(argv.arg(at), need(flags)) {
            true => Err(key_denied(at)),
            false => Ok(()),
        };
    }
    if !command.may_have_keys() {
        return Ok(());
    }
    let keys = found.keys(command, argv);
    let denied = keys
        .iter()
        .find(|k| !selector.allows_key(argv.arg(k.pos as usize), need(k.flags)));
    denied.map_or(Ok(()), |k| Err(key_denied(k.pos as usize)))
}

/// The key of a command that has exactly one, at a fixed place.
#[inline]
fn only_key(command: &'static Command) -> Option<(usize, KeyFlags)> {
    let ([spec], None) = (command.keys, command.key_func) else {
        return None;
    };
    match (spec.begin, spec.find) {
        (BeginSearch::Index(at @ 1..), FindKeys::Range { last_key: 0, .. })
            if !spec.flags.contains(KeyFlags::NOT_KEY) =>
        {
            Some((at as usize, spec.flags))
        }
        _ => None,
    }
}

/// What a pattern has to allow for a key used like this.
#[inline]
pub fn need(flags: KeyFlags) -> KeyNeed {
    const WRITES: KeyFlags = KeyFlags::UPDATE
        .union(KeyFlags::INSERT)
        .union(KeyFlags::DELETE);
    let mut need = KeyNeed::empty();
    need.set(KeyNeed::READ, flags.contains(KeyFlags::ACCESS));
    need.set(KeyNeed::WRITE, flags.intersects(WRITES));
    need
}

/// Which arguments are channels to be allowed, and whether they are patterns. Who unsubscribes needs no permission.
fn channels_of(command: &Command, argc: usize) -> Option<(Range<usize>, bool)> {
    match command.name {
        "publish" | "spublish" => Some((1..argc.min(2), false)),
        "subscribe" | "ssubscribe" => Some((1..argc, false)),
        "psubscribe" => Some((1..argc, true)),
        _ => None,
    }
}

#[inline(never)]
fn check_channels<A: Argv>(
    selector: &Selector,
    command: &'static Command,
    argv: &A,
) -> Result<(), Denied> {
    let Some((mut range, literal)) = channels_of(command, argv.argc()) else {
        return Ok(());
    };
    match range.find(|i| !selector.allows_channel(argv.arg(*i), literal)) {
        Some(arg) => Err(Denied {
            reason: Reason::Channel,
            arg,
        }),
        None => Ok(()),
    }
}

/// Whether a user may do this with any key there is while running a command (SORT with BY or GET).
pub fn may_use_every_key(user: &User, id: CommandId, args: Args<'_>, need: KeyNeed) -> bool {
    user.selectors()
        .iter()
        .any(|s| s.allows_command(id.0, args.get(1)) && s.allows_every_key(need))
}

// ---- the ways to tell it ----

impl Denied {
    /// The reply to a client, without `NOPERM`, as scripts quote it too.
    fn text(&self, config: &Config, user: &[u8], command: &Command) -> Vec<u8> {
        let old = config.compat_before(7, 2);
        match (self.reason, old) {
            (Reason::Command | Reason::Auth, false) => {
                let end = format!(" has no permissions to run the '{}' command", command.name);
                [b"User ", user, end.as_bytes()].concat()
            }
            (Reason::Command | Reason::Auth, true) => format!(
                "this user has no permissions to run the '{}' command",
                command.name
            )
            .into_bytes(),
            (Reason::Key, false) => b"No permissions to access a key".to_vec(),
            (Reason::Key, true) => {
                b"this user has no permissions to access one of the keys used as arguments".to_vec()
            }
            (Reason::Channel, false) => b"No permissions to access a channel".to_vec(),
            (Reason::Channel, true) => {
                b"this user has no permissions to access one of the channels used as arguments"
                    .to_vec()
            }
        }
    }

    /// The error reply.
    pub fn error(&self, config: &Config, user: &[u8], command: &Command) -> Error {
        Error::Bytes([b"NOPERM ", &*self.text(config, user, command)].concat())
    }

    /// The error of a command in a script.
    pub fn error_in_script(&self, config: &Config, user: &[u8], command: &Command) -> Error {
        let old = match self.reason {
            Reason::Command | Reason::Auth => {
                "ERR The user executing the script can't run this command or subcommand"
            }
            Reason::Key => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
            }
            Reason::Channel => {
                "ERR The user executing the script can't publish to the channel mentioned in the command"
            }
        };
        if config.compat_before(7, 2) {
            return Error::new(old);
        }
        let text = self.text(config, user, command);
        Error::Bytes([b"ERR ACL failure in script: ", &*text].concat())
    }

    /// The error that EXEC replies in the place of a command that was allowed when it was queued.
    pub fn error_at_exec(&self) -> Error {
        let why = match self.reason {
            Reason::Command | Reason::Auth => "no permission to execute the command or subcommand",
            Reason::Key => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
        };
        Error::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {why}"
        ))
    }

    /// What ACL DRYRUN replies.
    pub fn dry_run<A: Argv>(
        &self,
        config: &Config,
        user: &[u8],
        command: &Command,
        argv: &A,
    ) -> Vec<u8> {
        let mut text = if config.compat_before(7, 2) {
            b"This user".to_vec()
        } else {
            [b"User ", user].concat()
        };
        text.extend_from_slice(b" has no permissions to ");
        let (verb, object, kind): (&[u8], &[u8], &[u8]) = match self.reason {
            Reason::Command | Reason::Auth => (b"run the '", command.name.as_bytes(), b"' command"),
            Reason::Key => (b"access the '", argv.arg(self.arg), b"' key"),
            Reason::Channel => (b"access the '", argv.arg(self.arg), b"' channel"),
        };
        [text.as_slice(), verb, object, kind].concat()
    }
}

/// The name of a client's user.
pub fn user_name(client: &Client) -> &[u8] {
    client
        .user
        .as_deref()
        .unwrap_or(crate::acl::users::DEFAULT_USER)
}

/// Notes a denial in ACL LOG. `client` is the one whose user it was: for a command of a script, the script's caller.
#[cold]
pub fn note(
    server: &mut Server,
    client: &Client,
    context: LogContext,
    denied: Denied,
    command: &Command,
    args: Args<'_>,
) {
    let object = match denied.reason {
        Reason::Command => command.name.as_bytes(),
        Reason::Key | Reason::Channel | Reason::Auth => args.get(denied.arg).unwrap_or_default(),
    };
    let event = Event {
        reason: denied.reason,
        context,
        object: object.into(),
        username: user_name(client).into(),
    };
    note_event(server, client, event);
}

/// Notes an event in ACL LOG.
pub fn note_event(server: &mut Server, client: &Client, event: Event) {
    let around = line::Surroundings {
        now_s: server.clock.now_s(),
        command: client
            .last_command
            .map_or("", |id| server.registry.row(id).name),
        tracking: server.tracking.options(client.handle),
        stream_held: 0,
    };
    let info = line::describe(client, around).into_bytes();
    let max_len = server.config.acllog_max_len as usize;
    let now_ms = server.clock.now_ms;
    server.acl.log.add(event, info, now_ms, max_len);
}

/// The context of a client's own command.
pub fn context_of(client: &Client) -> LogContext {
    if client.has(ClientFlags::MULTI) {
        LogContext::Multi
    } else {
        LogContext::Toplevel
    }
}

/// The guard before every command of a restricted client.
#[inline]
pub fn guard(ctx: &mut Ctx<'_>, id: CommandId) -> Result<(), Error> {
    match check(ctx.server, ctx.client.user_id, id, &ctx.args) {
        Ok(()) => Ok(()),
        Err(denied) => {
            let context = context_of(ctx.client);
            note(
                ctx.server,
                ctx.client,
                context,
                denied,
                ctx.command,
                ctx.args,
            );
            let user = user_name(ctx.client);
            Err(denied.error(&ctx.server.config, user, ctx.command))
        }
    }
}

/// The check of a command that a script of `caller` runs; a denial is noted. Call it only for a restricted caller, or always:
/// unrestricted users pass at once.
///
/// # Errors
/// What `redis.call` raises.
pub fn check_in_script(
    server: &mut Server,
    caller: &Client,
    id: CommandId,
    args: Args<'_>,
) -> Result<(), Error> {
    if !caller.has(ClientFlags::RESTRICTED) {
        return Ok(());
    }
    let Err(denied) = check(server, caller.user_id, id, &args) else {
        return Ok(());
    };
    let command = server.registry.row(id);
    note(server, caller, LogContext::Lua, denied, command, args);
    Err(denied.error_in_script(&server.config, user_name(caller), command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::user::RuleContext;

    struct House {
        registry: Registry,
        commands: Commands,
    }

    impl House {
        fn new() -> Self {
            let registry = Registry::new(&crate::commands::all());
            let commands = facts(&registry);
            House { registry, commands }
        }

        fn user(&self, rules: &[&str]) -> User {
            let context = RuleContext {
                commands: &self.commands,
                all_channels: false,
            };
            let mut user = User::new(b"u", context);
            for rule in rules {
                user.apply(rule.as_bytes(), context).expect("a rule");
            }
            user
        }

        /// What is denied: `command`, `key 2`, `channel 1`, or nothing.
        fn ask(&self, user: &User, line: &str) -> String {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let id = self.registry.resolve(&argv[..]).expect("a command");
            match check_user(user, self.registry.row(id), id, &&argv[..]) {
                Ok(()) => String::new(),
                Err(COMMAND_DENIED) => "command".into(),
                Err(d) => format!("{} {}", d.reason.name(), d.arg),
            }
        }
    }

    #[test]
    fn numbers_are_those_of_the_registry() {
        let house = House::new();
        for id in house.registry.ids() {
            let row = house.registry.row(id);
            assert_eq!(house.commands.find(row.name.as_bytes()), Some(id.0));
            let subs: Vec<u16> = house.registry.subcommands(id).map(|s| s.0).collect();
            let known: Vec<u16> = house.commands.with_subcommands(id.0).skip(1).collect();
            assert_eq!(subs, known, "{}", row.name);
        }
    }

    #[test]
    fn keys_by_what_is_done_to_them() {
        let house = House::new();
        let user = house.user(&["+@all", "%R~read*", "%W~write*", "~rw*"]);
        for (line, denied) in [
            ("get read", ""),
            ("get write", "key 1"),
            ("set write x", ""),
            ("set write x get", "key 1"),
            ("set rw x get", ""),
            ("exists write read", ""),
            ("exists write other", "key 2"),
            ("copy read write", ""),
            ("copy write read", "key 1"),
            ("mget read rw other", "key 3"),
            ("sort read store write", ""),
            ("sort read store read", "key 3"),
            ("bitfield read get u8 0", ""),
            ("bitfield read set u8 0 1", "key 1"),
            ("georadius read 1 2 3 m store read2", "key 7"),
            // Arguments that make no sense have no keys to deny.
            ("zunionstore write x other", ""),
            ("ping", ""),
        ] {
            assert_eq!(house.ask(&user, line), denied, "{line}");
        }
    }

    #[test]
    fn channels_and_who_leaves_them() {
        let house = House::new();
        let user = house.user(&["+@all", "~*", "&a", "&b*"]);
        for (line, denied) in [
            ("publish a m", ""),
            ("publish c a", "channel 1"),
            ("subscribe a b1 c", "channel 3"),
            ("psubscribe b*", ""),
            ("psubscribe b1", "channel 1"),
            ("ssubscribe b1", ""),
            ("spublish c m", "channel 1"),
            ("unsubscribe c", ""),
            ("punsubscribe", ""),
        ] {
            assert_eq!(house.ask(&user, line), denied, "{line}");
        }
    }

    #[test]
    fn one_selector_has_to_allow_it_all_and_the_furthest_tells() {
        let house = House::new();
        let user = house.user(&["+mget", "~key", "(+mget ~key ~otherkey)", "(+@write ~*)"]);
        for (line, denied) in [
            ("mget key", ""),
            ("mget otherkey key", ""),
            ("mget otherkey some", "key 2"),
            ("mget key otherkey some", "key 3"),
            ("get key", "command"),
            ("set anything x", ""),
            ("auth x", ""),
        ] {
            assert_eq!(house.ask(&user, line), denied, "{line}");
        }
    }

    /// `cargo test --profile quick --lib -- --ignored --nocapture cost_of_a_check`: what a restricted user pays per command.
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_check() {
        let house = House::new();
        let user = house.user(&["+@all", "-@dangerous", "~other:*", "~app:*", "&*"]);
        for line in ["get app:1", "set app:1 x", "mget app:1 app:2", "ping"] {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let argv = &argv[..];
            let id = house.registry.resolve(argv).expect("a command");
            let row = house.registry.row(id);
            let best = (0..20)
                .map(|_| {
                    let start = std::time::Instant::now();
                    for _ in 0..100_000 {
                        let user = std::hint::black_box(&user);
                        assert!(check_user(user, row, id, &std::hint::black_box(argv)).is_ok());
                    }
                    start.elapsed().as_nanos() as f64 / 100_000.0
                })
                .fold(f64::MAX, f64::min);
            println!("{line}: {best:.1} ns");
            assert!(best < 1000.0, "{line}: {best} ns");
        }
    }
}
