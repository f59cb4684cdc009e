//! From readable bytes to executed commands.
//!
//! Bytes are read into one buffer shared by all clients; a client owns input only while a command of its is incomplete or it is
//! parked. The complete commands at hand are parsed first (up to [`AHEAD`]), their keys hashed and prefetched, then they run
//! in order: on a pipeline the memory latencies of the lookups overlap.

use super::{Server, deliver};
use crate::client::{Client, ClientFlags, ClientRef, CommandId};
use crate::ds::hash::hash;
use crate::exec::dispatch::dispatch;
use crate::exec::pause;
use crate::keyspace::prefetch::Lookup;
use crate::resp::parse::{Limits, Parser, ProtocolError, Step};
use crate::resp::{ArgRange, Args};
use std::io;
use std::sync::Arc;

/// Commands of one client parsed ahead.
const AHEAD: usize = 32;
/// Bytes read at once. A read that fills this puts the client back on the ready list, so others get their turn.
const READ_SIZE: usize = 64 * 1024;

/// Buffers shared by all clients; taken out of the loop while one is served.
#[derive(Default)]
pub struct Scratch {
    buf: Vec<u8>,
    ranges: Vec<ArgRange>,
    big: Vec<Arc<Vec<u8>>>,
    batch: Vec<Ahead>,
}

/// Room for a usual batch is kept, the room that a huge one needed is not.
const KEPT_RANGES: usize = 8 * 1024;

impl Scratch {
    /// Forgets the batch, and lets go of room that only a huge one needs.
    fn clear(&mut self) {
        self.ranges.clear();
        self.big.clear();
        self.batch.clear();
        if self.ranges.capacity() > KEPT_RANGES {
            self.ranges.shrink_to(KEPT_RANGES);
        }
        if self.big.capacity() > KEPT_RANGES {
            self.big.shrink_to(KEPT_RANGES);
        }
    }
}

/// One command parsed ahead.
struct Ahead {
    /// Where it begins and ends in the buffer.
    start: usize,
    end: usize,
    /// Its ranges and big arguments: up to these indices, from where the previous one's ended.
    ranges_end: usize,
    big_end: usize,
    id: Option<CommandId>,
    first_hash: Option<u64>,
    /// Argument that names an element of the collection at the first key; 0: none.
    element: u8,
}

/// What a read came to.
enum Read {
    /// There may be more.
    More,
    /// Drained.
    Drained,
    /// The peer is gone.
    Closed,
}

/// Serves a readable client.
pub fn on_readable(server: &mut Server, handle: ClientRef, scratch: &mut Scratch) {
    let Some(mut client) = server.clients.take(handle) else {
        // Running while a nested turn is served: its turn comes.
        if server.clients.contains(handle) {
            server.queues.read.push_back(handle);
        }
        return;
    };
    client.flags.remove(ClientFlags::READ_QUEUED);
    server.wakeups.saw(handle.slot);
    if client.has(ClientFlags::CLOSE_ASAP) {
        return server.clients.put_back(client);
    }
    let read = read_some(server, &mut client, scratch);
    match read {
        Read::Closed => server.close_soon(&mut client),
        Read::More if !client.has(ClientFlags::READ_QUEUED) => {
            client.flags.insert(ClientFlags::READ_QUEUED);
            server.queues.read.push_back(handle);
        }
        _ => {}
    }
    server.client_memory.note(&mut client);
    server.clients.put_back(client);
}

/// Goes on with the buffered input of a client that was parked or paused.
pub fn resume(server: &mut Server, handle: ClientRef, scratch: &mut Scratch) {
    let Some(mut client) = server.clients.take(handle) else {
        return;
    };
    client.flags.remove(ClientFlags::RESUMED);
    if let Some((id, args)) = pause::take_held(&mut client) {
        server.clock.tick();
        let mark = client.out.mark();
        dispatch(server, &mut client, args.view(), Some(id), None);
        if client.has(ClientFlags::MASTER) {
            // Its bytes were kept when it was held back.
            server.applied(&mut client, b"", mark);
        }
    }
    if !client.query.is_empty() {
        let mut buf = std::mem::take(&mut client.query);
        let used = run_buffer(server, &mut client, &mut buf, scratch);
        keep_rest(&mut client, buf, used);
    }
    server.finish_turn_of(&mut client);
    server.client_memory.note(&mut client);
    server.clients.put_back(client);
}

fn read_some(server: &mut Server, client: &mut Client, scratch: &mut Scratch) -> Read {
    if let Some((v, lacks)) = client.parser.filling() {
        let r = client.conn.read_to(v, lacks);
        let state = note_read(server, client, r, lacks);
        // The bytes went into the argument itself; only when it is whole there is something to run.
        if client.parser.filling().is_some_and(|(_, lacks)| lacks == 0)
            && !matches!(state, Read::Closed)
        {
            let mut buf = std::mem::take(&mut client.query);
            let used = run_buffer(server, client, &mut buf, scratch);
            keep_rest(client, buf, used);
            server.finish_turn_of(client);
        }
        // A filled argument says nothing about what follows it.
        return if matches!(state, Read::Closed) {
            state
        } else {
            Read::More
        };
    }
    let own = !client.query.is_empty();
    let mut buf = if own {
        std::mem::take(&mut client.query)
    } else {
        std::mem::take(&mut scratch.buf)
    };
    let before = buf.len();
    let r = client.conn.read_to(&mut buf, READ_SIZE);
    let state = note_read(server, client, r, READ_SIZE);
    let used = if buf.len() > before {
        run_buffer(server, client, &mut buf, scratch)
    } else {
        0
    };
    if own {
        keep_rest(client, buf, used);
    } else {
        if used < buf.len() {
            client.query = buf[used..].to_vec();
        }
        buf.clear();
        scratch.buf = buf;
    }
    if holds_too_much(server, client) {
        log::warn!(
            "Closing client that reached max query buffer length: id={} addr={}",
            client.id,
            client.addr()
        );
        server.stats.query_buffer_limit_disconnections += 1;
        return Read::Closed;
    }
    server.finish_turn_of(client);
    state
}

/// What a client that did not log in may have in its query buffer, bytes: it must not be able to fill memory with commands that
/// never end.
const UNAUTHENTICATED_QUERY_MAX: usize = 1024 * 1024;

/// Whether a client's input passed `client-query-buffer-limit`. What MULTI has queued is input that did not run yet.
fn holds_too_much(server: &Server, client: &Client) -> bool {
    if client.has(ClientFlags::MASTER) {
        return false;
    }
    let queued = client.multi.as_ref().map_or(0, |m| m.queued_bytes);
    let held = client.query.len() + client.parser.mem_bytes() + queued;
    let limit = server.config.client_query_buffer_limit as usize;
    // What is being read into a long argument is bounded by proto-max-bulk-len.
    client.query.len() + queued > limit
        || client.has(ClientFlags::UNAUTHENTICATED) && held > UNAUTHENTICATED_QUERY_MAX
}

/// Keeps the unprocessed rest of a client's own buffer; an empty one is given back to the allocator.
fn keep_rest(client: &mut Client, mut buf: Vec<u8>, used: usize) {
    if used == buf.len() {
        client.query = Vec::new();
        return;
    }
    buf.drain(..used);
    // Room for a read that came in vain is not kept.
    if buf.capacity() > 2 * buf.len() + READ_SIZE {
        buf.shrink_to(buf.len());
    }
    client.query = buf;
}

fn note_read(server: &mut Server, client: &mut Client, r: io::Result<usize>, room: usize) -> Read {
    match r {
        Ok(0) => {
            log::debug!(
                "Client closed connection id={} addr={} laddr={}",
                client.id,
                client.conn.peer(),
                client.conn.local()
            );
            Read::Closed
        }
        Ok(n) => {
            server.stats.reads += 1;
            server.stats.net_in += n as u64;
            client.net_in += n as u64;
            if client.has(ClientFlags::MASTER) {
                server.note_stream_read(n);
            }
            client.last_interaction_s = server.clock.now_s();
            if let Some(replica) = &mut client.replica {
                // Even an empty line says that it lives.
                replica.ack_s = server.clock.now_s();
            }
            let more = client.conn.has_more() || client.has(ClientFlags::ENDED);
            if n < room && !more {
                Read::Drained
            } else {
                Read::More
            }
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Read::Drained,
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Read::More,
        Err(e) => {
            match client.conn.tls() {
                Some(tls) if tls.is_handshaking() => log::warn!(
                    "Error accepting a client connection: {e} (addr={} laddr={})",
                    client.conn.peer(),
                    client.conn.local()
                ),
                _ => log::debug!("Reading from client: {e}"),
            }
            Read::Closed
        }
    }
}

/// Runs the commands at the start of `buf` and returns how many bytes were used. `buf` may lose its end to a long argument.
fn run_buffer(
    server: &mut Server,
    client: &mut Client,
    buf: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> usize {
    let mut pos = 0;
    server.lend_out_buffer(client);
    deliver::limit_replies(&server.config, client);
    while !client.has(ClientFlags::HALTED) {
        let error = parse_ahead(server, client, buf, pos, scratch);
        if scratch.batch.is_empty() && error.is_none() {
            break;
        }
        server.clock.tick();
        let before = pos;
        pos = run_batch(server, client, buf, pos, scratch);
        let halted_early = scratch.batch.last().is_some_and(|last| last.end != pos);
        if halted_early {
            // What was parsed beyond is parsed again later.
            client.parser = restart(std::mem::take(&mut client.parser), buf);
            break;
        }
        if let Some(e) = error
            && !client.has(ClientFlags::HALTED)
        {
            protocol_error(server, client, &buf[pos..], e);
            pos = buf.len();
            break;
        }
        if pos == before {
            break;
        }
    }
    scratch.clear();
    pos
}

/// Parses up to [`AHEAD`] commands from `pos` on, and warms the cache for their keys.
fn parse_ahead(
    server: &Server,
    client: &mut Client,
    buf: &mut Vec<u8>,
    pos: usize,
    scratch: &mut Scratch,
) -> Option<ProtocolError> {
    let authenticated = !client.has(ClientFlags::UNAUTHENTICATED);
    let master = client.has(ClientFlags::MASTER);
    let limits = Limits {
        max_bulk: if master {
            i64::from(u32::MAX)
        } else {
            server.config.proto_max_bulk_len as i64
        },
        authenticated,
        whole: master,
    };
    // AUTH changes what may follow it.
    let ahead = if authenticated { AHEAD } else { 1 };
    scratch.batch.clear();
    scratch.ranges.clear();
    scratch.big.clear();
    let mut at = pos;
    let mut error = None;
    while scratch.batch.len() < ahead {
        let r0 = scratch.ranges.len();
        match client
            .parser
            .parse(&buf[at..], &mut scratch.ranges, &mut scratch.big, &limits)
        {
            Ok(Step::Complete(n)) => {
                let args = Args::new(&buf[at..at + n], &scratch.ranges[r0..], &[]);
                let id = if args.is_empty()
                    || scratch.big.len() > scratch.batch.last().map_or(0, |b| b.big_end)
                {
                    None
                } else {
                    server.registry.resolve(&args).ok()
                };
                let foreseen = id.map(|id| server.registry.foreseen(id));
                let first_hash = foreseen
                    .filter(|f| f.key_at_1)
                    .and_then(|_| args.get(1))
                    .map(hash);
                let item = Ahead {
                    start: at,
                    end: at + n,
                    ranges_end: scratch.ranges.len(),
                    big_end: scratch.big.len(),
                    id,
                    first_hash,
                    element: foreseen.map_or(0, |f| f.element),
                };
                scratch.batch.push(item);
                at += n;
            }
            Ok(Step::Incomplete) => break,
            Ok(Step::Filling(n)) => {
                buf.truncate(at + n);
                break;
            }
            Err(e) => {
                error = Some(e);
                break;
            }
        }
    }
    if scratch.batch.len() > 1 {
        prefetch(server, client, buf, scratch);
    }
    error
}

/// Warms the cache for the batch: the misses of a pipeline overlap.
fn prefetch(server: &Server, client: &Client, buf: &[u8], scratch: &Scratch) {
    let elements = scratch.batch.iter().any(|a| a.element != 0);
    let lookups = (0..scratch.batch.len()).filter_map(|i| lookup_of(scratch, buf, i));
    server.ks.dbs[client.db as usize].prefetch(lookups, elements);
}

/// What command `i` of the batch will look up.
#[inline]
fn lookup_of<'a>(scratch: &'a Scratch, buf: &'a [u8], i: usize) -> Option<Lookup<'a>> {
    let a = &scratch.batch[i];
    let hash = a.first_hash?;
    if a.element == 0 {
        return Some(Lookup {
            hash,
            element: None,
        });
    }
    // Commands with big arguments have no hash here.
    let r0 = i.checked_sub(1).map_or(0, |i| scratch.batch[i].ranges_end);
    let ranges = &scratch.ranges[r0..a.ranges_end];
    let args = Args::new(&buf[a.start..a.end], ranges, &[]);
    Some(Lookup::new(hash, args, a.element))
}

/// Runs the batch in order until the client is halted; returns where the first command not run begins.
fn run_batch(
    server: &mut Server,
    client: &mut Client,
    buf: &[u8],
    mut pos: usize,
    scratch: &mut Scratch,
) -> usize {
    let (mut r0, mut b0) = (0, 0);
    for a in &scratch.batch {
        if client.has(ClientFlags::HALTED) {
            return pos;
        }
        let args = Args::new(
            &buf[a.start..a.end],
            &scratch.ranges[r0..a.ranges_end],
            &scratch.big[b0..a.big_end],
        );
        if client.has(ClientFlags::MASTER) {
            run_of_master(server, client, args, a, &buf[a.start..a.end]);
        } else if !args.is_empty() {
            dispatch(server, client, args, a.id, a.first_hash);
            server.look_at_output(client);
        }
        (r0, b0, pos) = (a.ranges_end, a.big_end, a.end);
    }
    pos
}

/// Runs one command of the stream: it counts by its bytes.
#[cold]
fn run_of_master(
    server: &mut Server,
    client: &mut Client,
    args: Args<'_>,
    a: &Ahead,
    bytes: &[u8],
) {
    let mark = client.out.mark();
    if !args.is_empty() {
        dispatch(server, client, args, a.id, a.first_hash);
    }
    server.applied(client, bytes, mark);
}

/// A fresh parser; a long argument that was being filled goes back to the end of the buffer.
fn restart(mut old: Parser, buf: &mut Vec<u8>) -> Parser {
    if let Some((v, _)) = old.filling() {
        buf.extend_from_slice(v);
    }
    Parser::new()
}

fn protocol_error(server: &mut Server, client: &mut Client, rest: &[u8], e: ProtocolError) {
    let sample = if server.config.hide_user_data_from_log {
        "*redacted*".to_owned()
    } else {
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(128)]);
        shown.escape_debug().to_string()
    };
    log::debug!(
        "Protocol error ({e}) from client: id={} addr={}. Query buffer during protocol error: '{sample}'",
        client.id,
        client.addr()
    );
    server.errors.count(b"ERR");
    client.reply().error_bytes(&e.wire());
    client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
}
