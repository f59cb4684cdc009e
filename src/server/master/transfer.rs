//! Bytes on their way to replicas: the stream, a snapshot file, and a snapshot that comes through a child's pipe.
//!
//! The pipe is read only while every replica that gets it has taken what was read before, so the slowest sets the pace and no
//! more than a chunk per replica is held. When the pipe is through, the child is let go: it waits for that, so that its end
//! always comes after the last byte was sent, or means that it failed.

use super::{ReplicaStage, Server};
use crate::client::replica::RdbFilter;
use crate::client::{Client, ClientFlags, ClientRef};
use crate::net::Token;
use crate::persist::child;
use crate::persist::snapshot::Plan;
use crate::persist::state::ChildKind;
use crate::sys::fork::{self, Ended};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd};

/// The poller's name for the pipe.
pub const SYNC_PIPE: u32 = 17;
/// Bytes of a snapshot read at once, from a file or from the pipe.
const CHUNK: usize = 64 * 1024;
/// Chunks handled in one turn, so that others get theirs.
const CHUNKS_PER_TURN: usize = 16;

/// The parent's ends of the pipes to a child that makes a snapshot for replicas.
#[derive(Debug)]
pub struct SyncPipe {
    reader: PipeReader,
    /// While this is open, the child stays after it has written everything.
    leave: Option<PipeWriter>,
    /// Who gets it.
    replicas: Vec<ClientRef>,
    /// There may be more to read: the next turn does not wait.
    pub more: bool,
    buffer: Vec<u8>,
}

/// The child's ends.
#[derive(Debug)]
pub struct ChildEnds {
    /// Where the snapshot goes.
    pub writer: PipeWriter,
    /// Ends when the child may leave.
    pub leave: PipeReader,
    /// What the snapshot leaves out.
    pub filter: RdbFilter,
    /// The mark at its end, 40 characters.
    pub mark: String,
}

impl Server {
    /// Starts a child that makes a snapshot for these replicas. False when that failed; the log says why.
    pub(super) fn save_to_replicas(&mut self, who: &[ClientRef], filter: RdbFilter) -> bool {
        match self.start_pipe_child(who, filter) {
            Ok(pid) => {
                log::info!("Background RDB transfer started by pid {pid}");
                true
            }
            Err(e) => {
                log::warn!("Can't save in background: fork: {e}");
                self.master.pipe = None;
                false
            }
        }
    }

    fn start_pipe_child(&mut self, who: &[ClientRef], filter: RdbFilter) -> io::Result<i32> {
        let (reader, writer) = io::pipe()?;
        let (leave, keep) = io::pipe()?;
        fcntl(reader.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        self.master.pipe = Some(SyncPipe {
            reader,
            leave: Some(keep),
            replicas: who.to_vec(),
            more: true,
            buffer: Vec::new(),
        });
        self.master.child_ends = Some(ChildEnds {
            writer,
            leave,
            filter,
            mark: crate::sys::entropy::random_hex(),
        });
        let pid = self.start_child(ChildKind::Replicas);
        // They live on in the child only.
        self.master.child_ends = None;
        let pid = pid?;
        if let Some(pipe) = &self.master.pipe {
            let fd = pipe.reader.as_raw_fd();
            self.poller.add_fd(fd, Token::Other(SYNC_PIPE))?;
        }
        Ok(pid)
    }

    /// At the end of a turn: reads from the pipe what all replicas have room for.
    pub(in crate::server) fn pump_pipe(&mut self) {
        let Some(pipe) = &mut self.master.pipe else {
            return;
        };
        pipe.more = false;
        for _ in 0..CHUNKS_PER_TURN {
            if !self.pump_once() {
                return;
            }
        }
        if let Some(pipe) = &mut self.master.pipe {
            pipe.more = true;
        }
    }

    /// Hands on one chunk; false when there is nothing to do for now.
    fn pump_once(&mut self) -> bool {
        let Some(pipe) = &mut self.master.pipe else {
            return false;
        };
        if pipe.leave.is_none() {
            return false;
        }
        let busy = |h: &ClientRef| match self.clients.get(*h) {
            Some(client) => !client.has(ClientFlags::CLOSE_ASAP) && !client.out.is_empty(),
            // It is running, or gone.
            None => self.clients.contains(*h),
        };
        if pipe.replicas.iter().any(busy) {
            return false;
        }
        pipe.buffer.resize(CHUNK, 0);
        match pipe.reader.read(&mut pipe.buffer) {
            Ok(0) => {
                self.pipe_is_through();
                false
            }
            Ok(n) => {
                let buffer = std::mem::take(&mut pipe.buffer);
                let who = pipe.replicas.clone();
                self.hand_on(&who, &buffer[..n]);
                if let Some(pipe) = &mut self.master.pipe {
                    pipe.buffer = buffer;
                }
                true
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            Err(e) => {
                log::warn!("Diskless rdb transfer, read error sending DB to replicas: {e}");
                self.drop_pipe();
                self.stop_rdb_child();
                false
            }
        }
    }

    fn hand_on(&mut self, who: &[ClientRef], bytes: &[u8]) {
        for h in who {
            if let Some(client) = self.clients.get_mut(*h) {
                client.out.push(bytes);
                self.write_client(*h);
            }
        }
    }

    fn pipe_is_through(&mut self) {
        let Some(pipe) = &mut self.master.pipe else {
            return;
        };
        log::info!(
            "Diskless rdb transfer, done reading from pipe, {} replicas still up.",
            pipe.replicas.len()
        );
        // The child may go now.
        pipe.leave = None;
        let _ = self.poller.remove_fd(pipe.reader.as_raw_fd());
    }

    /// The child has ended; true when everything was sent before.
    pub(super) fn close_pipe(&mut self, pipe: SyncPipe) -> bool {
        let through = pipe.leave.is_none();
        if !through {
            let _ = self.poller.remove_fd(pipe.reader.as_raw_fd());
        }
        through
    }

    fn drop_pipe(&mut self) {
        if let Some(pipe) = self.master.pipe.take() {
            self.close_pipe(pipe);
        }
    }

    /// A replica is gone: when it was the last to get the snapshot, nobody wants it any more.
    pub(super) fn pipe_lost_replica(&mut self, gone: ClientRef) {
        let Some(pipe) = &mut self.master.pipe else {
            return;
        };
        pipe.replicas.retain(|h| *h != gone);
        // The others may go on.
        pipe.more = true;
        if pipe.replicas.is_empty() && pipe.leave.is_some() {
            log::info!("Diskless rdb transfer, last replica dropped, killing fork child.");
            self.drop_pipe();
            self.stop_rdb_child();
        }
    }

    /// The life of the child that makes a snapshot for replicas.
    pub(in crate::server) fn be_the_sync_child(&mut self, plan: &Plan, reports: PipeWriter) -> ! {
        let ends = self.master.child_ends.take();
        // The parent's ends: while they are open here, neither pipe would ever end.
        self.master.pipe = None;
        let Some(ends) = ends else { fork::exit_now(1) };
        let mut plan = plan.clone();
        plan.skip_keys = ends.filter.contains(RdbFilter::NO_DATA);
        if ends.filter.contains(RdbFilter::NO_FUNCTIONS) {
            plan.functions.clear();
        }
        child::send_and_exit(
            &self.ks,
            &plan,
            ends.writer,
            ends.leave,
            &ends.mark,
            reports,
        )
    }

    /// That child has ended.
    pub(in crate::server) fn sync_child_ended(&mut self, end: Ended) {
        match end {
            Ended::Code(0) => log::info!("Background RDB transfer terminated with success"),
            Ended::Code(_) => log::warn!("Background transfer error"),
            Ended::Signal(n) => log::warn!("Background transfer terminated by signal {n}"),
        }
        self.snapshot_pipe_ended(end == Ended::Code(0));
    }

    // ---- to one replica ----

    /// When a replica's replies are written: puts the next piece of its snapshot file behind them. False when there is none.
    pub(in crate::server) fn next_piece(&mut self, client: &mut Client) -> bool {
        let Some(bulk) = client.replica.as_mut().and_then(|r| r.bulk.as_mut()) else {
            return false;
        };
        if bulk.read == bulk.len {
            let replica = client.replica_mut();
            replica.bulk = None;
            replica.streaming = !replica.rdb_only;
            self.put_online(client);
            return false;
        }
        let wanted = (bulk.len - bulk.read).min(CHUNK as u64);
        let got = (&bulk.file).take(wanted).read_to_end(client.out.tail());
        match got {
            Ok(n) if n > 0 => {
                bulk.read += n as u64;
                true
            }
            bad => {
                log::warn!("Read error sending DB to replica: {bad:?}");
                self.close_soon(client);
                false
            }
        }
    }

    /// When a replica's replies are written: writes of the stream what its socket takes.
    pub(in crate::server) fn write_stream(&mut self, client: &mut Client) {
        let Some(replica) = client.replica.as_deref_mut().filter(|r| r.streaming) else {
            return;
        };
        let (Some(cursor), Some(history)) = (&mut replica.cursor, &mut self.repl.backlog) else {
            return;
        };
        while history.pending(cursor) > 0 {
            let (slices, n) = history.slices(cursor);
            let wanted: usize = slices[..n].iter().map(|s| s.len()).sum();
            match client.conn.write_slices(&slices[..n]) {
                Ok(n) => {
                    self.stats.writes += 1;
                    self.stats.net_out += n as u64;
                    self.master.net_out += n as u64;
                    client.net_out += n as u64;
                    history.advance(cursor, n);
                    if n < wanted {
                        client.flags.insert(ClientFlags::WRITE_BLOCKED);
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    client.flags.insert(ClientFlags::WRITE_BLOCKED);
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::debug!("Error writing to replica: {e}");
                    return self.close_soon(client);
                }
            }
        }
    }

    /// Notes whether a replica's socket takes anything, for `repl-timeout` during a snapshot.
    pub(in crate::server) fn note_progress(&mut self, client: &mut Client, wrote: bool) {
        let now_s = self.clock.now_s();
        let stuck = !client.out.is_empty();
        if let Some(r) = client.replica.as_mut() {
            if !stuck {
                r.stuck_since_s = 0;
            } else if wrote || r.stuck_since_s == 0 {
                r.stuck_since_s = now_s;
            }
        }
    }

    /// Ends the replicas that take nothing of their snapshot any more; called by cron.
    pub(super) fn drop_stuck_replicas(&mut self) {
        let (now_s, patience) = (self.clock.now_s(), i64::from(self.config.repl_timeout));
        for h in self.replicas_in(|s| matches!(s, ReplicaStage::WaitEnd | ReplicaStage::SendBulk)) {
            let Some(mut client) = self.clients.take(h) else {
                continue;
            };
            let since = client.replica.as_ref().map_or(0, |r| r.stuck_since_s);
            if since > 0 && now_s - since > patience {
                log::warn!(
                    "Disconnecting timedout replica (full sync): {}",
                    super::name_of(&client)
                );
                self.close_soon(&mut client);
            }
            self.clients.put_back(client);
        }
    }
}
