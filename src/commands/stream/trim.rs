//! The options XADD and XTRIM share: MAXLEN, MINID, LIMIT, and what becomes of references.

use super::{policy_word, refused};
use crate::client::ClientFlags;
use crate::ds::numtext::parse_i64;
use crate::ds::stream::StreamId;
use crate::exec::Ctx;
use crate::resp::{Error, OwnedArgs, is_word};
use crate::types::stream::{
    AddId, Log, RefPolicy, Stream, TrimEffort, TrimTo, default_limit, parse_add, parse_strict,
};

/// What was asked for besides the entry.
#[derive(Debug, Default)]
pub(super) struct TrimOptions {
    /// What to trim to, if anything.
    pub to: Option<TrimTo>,
    /// `~` was given.
    approximate: bool,
    limit: Option<u64>,
    policy: Option<RefPolicy>,
    /// NOMKSTREAM (XADD).
    pub no_create: bool,
    /// Where the threshold stands: what is propagated has another one in its place.
    threshold_at: usize,
}

impl TrimOptions {
    /// XTRIM's: nothing but options from argument 2 on.
    pub fn of_xtrim(ctx: &Ctx<'_>) -> Result<Self, Error> {
        let mut o = TrimOptions::default();
        let mut i = 2;
        while i < ctx.args.len() {
            i = o.option(ctx, i)?.ok_or(Error::Syntax)?;
        }
        if o.to.is_none() && o.limit.is_none() {
            return Err(Error::Syntax);
        }
        o.checked(ctx)
    }

    /// XADD's: options up to the id. Returns where the id stands, and the id.
    pub fn of_xadd(ctx: &Ctx<'_>) -> Result<(Self, usize, AddId), Error> {
        let mut o = TrimOptions::default();
        let mut i = 2;
        while i < ctx.args.len() {
            let text = ctx.arg(i);
            // No option starts like an id.
            let digit = text.first().is_some_and(|b| b.is_ascii_digit());
            let next = if is_word(text, b"*") || digit {
                None
            } else if is_word(text, b"NOMKSTREAM") {
                o.no_create = true;
                Some(i + 1)
            } else {
                o.option(ctx, i)?
            };
            let Some(next) = next else {
                let id = parse_add(text).map_err(refused)?;
                return Ok((o.checked(ctx)?, i, id));
            };
            i = next;
        }
        Err(Error::new(
            "ERR wrong number of arguments for 'xadd' command",
        ))
    }

    /// Reads the option at `i`; gives the position behind it, or None when there is no option.
    fn option(&mut self, ctx: &Ctx<'_>, i: usize) -> Result<Option<usize>, Error> {
        let more = ctx.args.len() - 1 - i;
        if ctx.is(i, "MAXLEN") && more > 0 {
            let at = self.operator(ctx, i, more)?;
            let n = ctx.int(at)?;
            let n = u64::try_from(n).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?;
            self.to = Some(TrimTo::MaxLen(n));
            return Ok(Some(at + 1));
        }
        if ctx.is(i, "MINID") && more > 0 {
            let at = self.operator(ctx, i, more)?;
            let id = parse_strict(ctx.arg(at), 0).map_err(refused)?;
            self.to = Some(TrimTo::MinId(id));
            return Ok(Some(at + 1));
        }
        if ctx.is(i, "LIMIT") && more > 0 {
            let n = parse_i64(ctx.arg(i + 1)).ok_or(Error::NotInteger)?;
            let n = u64::try_from(n).map_err(|_| "ERR The LIMIT argument must be >= 0.")?;
            self.limit = Some(n);
            return Ok(Some(i + 2));
        }
        match policy_word(ctx.arg(i)) {
            Some(policy) if self.policy.is_none() => {
                self.policy = Some(policy);
                Ok(Some(i + 1))
            }
            _ => Ok(None),
        }
    }

    /// Reads `=` or `~` behind the word at `i`; gives the position of the threshold.
    fn operator(&mut self, ctx: &Ctx<'_>, i: usize, more: usize) -> Result<usize, Error> {
        if self.to.is_some() {
            return Err(Error::new(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let sign = ctx.arg(i + 1);
        let signed = more >= 2 && (sign == b"~" || sign == b"=");
        self.approximate = signed && sign == b"~";
        self.threshold_at = i + 1 + usize::from(signed);
        Ok(self.threshold_at)
    }

    fn checked(self, ctx: &Ctx<'_>) -> Result<Self, Error> {
        if self.limit.is_none() {
            return Ok(self);
        }
        if self.to.is_none() {
            return Err(Error::new(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        // What was decided elsewhere comes as an exact trim with the LIMIT left in.
        let obeys = ctx.client.has(ClientFlags::MASTER | ClientFlags::FAKE)
            && !ctx.client.has(ClientFlags::SCRIPT);
        if !self.approximate && !obeys {
            return Err(Error::new(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(self)
    }

    /// Trims; returns how many entries went.
    pub fn apply(&self, stream: &mut Stream, node_max_entries: u64) -> u64 {
        let Some(to) = self.to else {
            return 0;
        };
        let effort = match self.approximate {
            true => TrimEffort::Approximate {
                limit: self
                    .limit
                    .unwrap_or_else(|| default_limit(node_max_entries)),
            },
            false => TrimEffort::Exact,
        };
        stream.trim(to, effort, self.policy.unwrap_or_default())
    }

    /// Whether the outcome depends on where nodes begin and end, so that another form must be propagated.
    pub fn is_approximate(&self) -> bool {
        self.approximate
    }

    /// The exact threshold that means what was done: the length there is now, or the first id.
    pub fn outcome(&self, log: &Log) -> TrimTo {
        match self.to {
            Some(TrimTo::MinId(_)) => TrimTo::MinId(log.first_id()),
            _ => TrimTo::MaxLen(log.len()),
        }
    }

    /// The arguments of `ctx` with the exact threshold, and with `id` in place of argument `at`.
    pub fn exact_form(
        &self,
        ctx: &Ctx<'_>,
        outcome: TrimTo,
        id: Option<(usize, StreamId)>,
    ) -> OwnedArgs {
        let mut a = OwnedArgs::new();
        for i in 0..ctx.args.len() {
            match id {
                Some((at, id)) if at == i => super::push_id(&mut a, id),
                _ if self.approximate && i + 1 == self.threshold_at => a.push(b"="),
                _ if self.approximate && i == self.threshold_at => match outcome {
                    TrimTo::MaxLen(n) => a.push(itoa::Buffer::new().format(n).as_bytes()),
                    TrimTo::MinId(id) => super::push_id(&mut a, id),
                },
                _ => match ctx.args.shared(i) {
                    Some(big) => a.push_shared(big.clone()),
                    None => a.push(ctx.arg(i)),
                },
            }
        }
        a
    }
}
