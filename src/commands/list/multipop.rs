//! Popping from the first of several lists that has something: LMPOP; BLMPOP uses [`MultiPop`] too.

use super::ends::pop_some;
use super::{end_of, limits, pop_verb, popped};
use crate::ds::quicklist::End;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::Key;
use crate::resp::{Error, OwnedArgs};
use crate::types::list::List;

/// The row of LMPOP.
pub static LMPOP: Command = Command {
    name: "lmpop",
    handler: lmpop,
    arity: -4,
    flags: flags("write"),
    acl: acl("list"),
    keys: &[KeySpec::at(1, "RW access delete").counted()],
    group: Group::List,
    since: "7.0.0",
    complexity: "O(N+M) where N is the number of provided keys and M is the number of \
        elements returned.",
    summary: "Takes elements from the first list that has any.",
    args: "numkeys:int key@0... where(LEFT | RIGHT) [COUNT count:int]",
    ..Command::DEFAULT
};

fn lmpop(ctx: &mut Ctx<'_>) -> Outcome {
    let request = MultiPop::parse(ctx, 1)?;
    if !request.run(ctx)? {
        ctx.reply().null_array();
    }
    Ok(Flow::Done)
}

/// The arguments of LMPOP and BLMPOP.
pub(super) struct MultiPop {
    /// Argument of the first key, and how many keys there are.
    pub first: usize,
    pub keys: usize,
    pub end: End,
    pub count: usize,
}

impl MultiPop {
    /// Reads `numkeys key... LEFT|RIGHT [COUNT count]` from argument `at` on.
    pub fn parse(ctx: &Ctx<'_>, at: usize) -> Result<Self, Error> {
        let keys = ctx.int_in(at, 1, i64::MAX, "ERR numkeys should be greater than 0");
        // Compat: upstream gives the range's error for text that is no number, too.
        let keys = keys.map_err(|_| Error::new("ERR numkeys should be greater than 0"))?;
        let first = at + 1;
        let left = (ctx.args.len() - first) as i64;
        if keys >= left {
            return Err(Error::Syntax);
        }
        let keys = keys as usize;
        let end = end_of(ctx.arg(first + keys))?;
        let mut count = None;
        let mut i = first + keys + 1;
        while i < ctx.args.len() {
            if count.is_some() || !ctx.is(i, "COUNT") || i + 1 == ctx.args.len() {
                return Err(Error::Syntax);
            }
            count = Some(
                ctx.int_in(i + 1, 1, i64::MAX, "")
                    .map_err(|_| Error::new("ERR count should be greater than 0"))?,
            );
            i += 2;
        }
        let count = count.map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(MultiPop {
            first,
            keys,
            end,
            count,
        })
    }

    /// Pops from the first list that is there and replies; false when there is none (nothing was replied).
    pub fn run(&self, ctx: &mut Ctx<'_>) -> Result<bool, Error> {
        for i in self.first..self.first + self.keys {
            let key = Key::new(ctx.arg(i));
            let Some(n) = self.pop_from(ctx, key)? else {
                continue;
            };
            if ctx.propagates() {
                let mut form = OwnedArgs::from_iter([pop_verb(self.end), key.bytes]);
                form.push_int(n as i64);
                ctx.propagate_as(vec![form]);
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn pop_from(&self, ctx: &mut Ctx<'_>, key: Key<'_>) -> Result<Option<usize>, Error> {
        let (mut db, mut reply, config) = ctx.parts();
        let limits = limits(config);
        let (n, emptied) = if let Some(mut list) = db.write_value::<List>(key)? {
            reply.array(2);
            reply.bulk(key.bytes);
            let n = pop_some(&mut list, self.end, self.count, &limits, &mut reply);
            (n, list.is_empty())
        } else {
            return Ok(None);
        };
        popped(&mut db, key, self.end, n, emptied);
        Ok(Some(n))
    }
}
