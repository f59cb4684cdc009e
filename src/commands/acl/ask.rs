//! ACL CAT, DRYRUN, GENPASS and WHOAMI.

use crate::acl::password::hex;
use crate::exec::acl::{check_user, user_name};
use crate::exec::command::{CATEGORY_NAMES, Command, Group, flags};
use crate::exec::registry::arity_error;
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, Reply, before_nul};

/// The most bits of a generated password, and how many there are unless told otherwise.
const GENPASS_BITS_MAX: i64 = 4096;
const GENPASS_BITS: i64 = 256;

/// The row of ACL CAT.
pub(super) static ACL_CAT: Command = Command {
    name: "acl|cat",
    handler: acl_cat,
    arity: -2,
    flags: flags("noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1) since the categories and commands are a fixed set.",
    summary: "Lists the categories, or the commands of one.",
    args: "[category]",
    ..Command::DEFAULT
};

fn acl_cat(ctx: &mut Ctx<'_>) -> Outcome {
    let acl = &ctx.server.acl;
    let mut reply = Reply::new(&mut ctx.client.out, ctx.client.proto);
    match ctx.args.len() {
        2 => {
            reply.array(CATEGORY_NAMES.len());
            let names = CATEGORY_NAMES.iter();
            names.for_each(|(name, _)| reply.bulk(name.as_bytes()));
        }
        3 => {
            let name = ctx.args.at(2);
            let bit = acl.commands.category(name).ok_or_else(|| {
                Error::Bytes(
                    [b"ERR Unknown category '".as_slice(), before_nul(name), b"'"].concat(),
                )
            })?;
            let ids: Vec<u16> = acl.commands.of_category(bit).collect();
            reply.array(ids.len());
            let names = ids.iter().map(|id| acl.commands.fact(*id).name);
            names.for_each(|name| reply.bulk(name.as_bytes()));
        }
        _ => return Err(ctx.wrong_subcommand()),
    }
    Ok(Flow::Done)
}

/// The row of ACL DRYRUN.
pub(super) static ACL_DRYRUN: Command = Command {
    name: "acl|dryrun",
    handler: acl_dryrun,
    arity: -4,
    flags: flags("admin noscript loading stale"),
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(1).",
    summary: "Tells whether a user may run a command, without running it.",
    args: "username command [arg...]",
    ..Command::DEFAULT
};

fn acl_dryrun(ctx: &mut Ctx<'_>) -> Outcome {
    let s = &*ctx.server;
    let (name, argv) = (ctx.arg(2), ctx.args.from(3));
    let Some((_, user)) = s.acl.users.by_name(name) else {
        let text = [b"ERR User '".as_slice(), before_nul(name), b"' not found"].concat();
        return Err(Error::Bytes(text));
    };
    let Ok(id) = s.registry.resolve(&argv) else {
        let text = [
            b"ERR Command '".as_slice(),
            before_nul(argv.at(0)),
            b"' not found",
        ]
        .concat();
        return Err(Error::Bytes(text));
    };
    let command = s.registry.row(id);
    if !command.arity_fits(argv.len()) {
        return Err(Error::text(arity_error(command)));
    }
    match check_user(user, command, id, &argv) {
        Ok(()) => ctx.reply().ok(),
        Err(denied) => {
            let text = denied.dry_run(&s.config, name, command, &argv);
            ctx.reply().bulk(&text);
        }
    }
    Ok(Flow::Done)
}

/// The row of ACL GENPASS.
pub(super) static ACL_GENPASS: Command = Command {
    name: "acl|genpass",
    handler: acl_genpass,
    arity: -2,
    flags: flags("noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Makes a random password.",
    args: "[bits:int]",
    ..Command::DEFAULT
};

fn acl_genpass(ctx: &mut Ctx<'_>) -> Outcome {
    let bits = match ctx.args.len() {
        2 => GENPASS_BITS,
        3 => ctx.int(2)?,
        _ => return Err(ctx.wrong_subcommand()),
    };
    if !(1..=GENPASS_BITS_MAX).contains(&bits) {
        return Err(Error::new(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    crate::sys::entropy::fill(&mut bytes);
    ctx.reply().bulk(&hex(&bytes)[..digits]);
    Ok(Flow::Done)
}

/// The row of ACL WHOAMI.
pub(super) static ACL_WHOAMI: Command = Command {
    name: "acl|whoami",
    handler: acl_whoami,
    arity: 2,
    flags: flags("noscript loading stale"),
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
    summary: "Tells the user of this connection.",
    ..Command::DEFAULT
};

fn acl_whoami(ctx: &mut Ctx<'_>) -> Outcome {
    let name = user_name(ctx.client).to_vec();
    ctx.reply().bulk(&name);
    Ok(Flow::Done)
}
