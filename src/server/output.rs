//! Writing replies, and closing connections: both happen at the end of a turn, never in the middle of a command.

use super::{Server, deliver};
use crate::client::{Client, ClientFlags, ClientRef};
use std::io;
use std::time::Duration;

/// Output buffers kept for the next replies.
const SPARE_BUFFERS: usize = 64;
/// A buffer that grew beyond this (bytes) is not kept.
const SPARE_MAX: usize = 64 * 1024;
/// Pieces of a snapshot file written to one replica in one turn.
const PIECES_PER_TURN: usize = 16;

impl Server {
    /// After a client was served: puts it on the list of writers when it has replies.
    #[inline]
    pub fn finish_turn_of(&mut self, client: &mut Client) {
        deliver::flush_own(self, client);
        self.look_at_output(client);
        if !client.out.is_empty() {
            self.queue_write(client);
        } else if client.has(ClientFlags::CLOSE_AFTER_REPLY) {
            self.close_soon(client);
        }
    }

    /// Puts a client on the list of writers.
    #[inline]
    pub fn queue_write(&mut self, client: &mut Client) {
        deliver::queue_write(&mut self.queues, client);
    }

    /// Marks a client to be closed at the end of the tick.
    pub fn close_soon(&mut self, client: &mut Client) {
        deliver::close_soon(&mut self.queues, client);
    }

    /// Writes once for every client that has replies, and messages to many when they are due.
    pub fn write_pending(&mut self) {
        self.write_queued();
        if self.queues.fanout.is_empty() {
            return;
        }
        let now_ns = self.clock.tick();
        let over = self.shutdown.done().is_some();
        if over || self.fanout_due_in(now_ns) == Some(Duration::ZERO) {
            self.write_fanout(now_ns);
        }
    }

    /// Writes to every client that has something to be written.
    pub fn write_all_pending(&mut self) {
        self.write_queued();
        self.write_fanout(self.clock.mono_ns);
    }

    /// How long after `now_ns` messages to many have to be written; None when there are none.
    #[inline]
    pub(super) fn fanout_due_in(&self, now_ns: u64) -> Option<Duration> {
        let max_us = self.config.wakeup_coalescing_us;
        self.queues.fanout.due_in(now_ns, max_us)
    }

    fn write_fanout(&mut self, began_ns: u64) {
        let list = self.queues.fanout.take();
        for h in &list {
            // Who had replies as well was written to with them.
            let waits = |c: &Client| c.has(ClientFlags::PENDING_FANOUT);
            if self.clients.get(*h).is_none_or(waits) {
                self.write_client(*h);
            }
        }
        let ended_ns = self.clock.tick();
        self.queues.fanout.written(list, began_ns, ended_ns);
    }

    fn write_queued(&mut self) {
        let mut list = std::mem::take(&mut self.queues.write);
        for h in list.drain(..) {
            self.write_client(h);
        }
        if self.queues.write.is_empty() {
            self.queues.write = list;
        }
    }

    /// Writes what one client has pending, as far as its socket takes it.
    pub fn write_client(&mut self, h: ClientRef) {
        let Some(mut client) = self.clients.take(h) else {
            // It is running: its turn comes.
            self.queues
                .write
                .extend(self.clients.contains(h).then_some(h));
            return;
        };
        client.flags.remove(
            ClientFlags::PENDING_WRITE | ClientFlags::PENDING_FANOUT | ClientFlags::WRITE_BLOCKED,
        );
        if !client.has(ClientFlags::CLOSE_ASAP) {
            self.write_out(&mut client);
        }
        self.client_memory.note(&mut client);
        self.clients.put_back(client);
    }

    fn write_out(&mut self, client: &mut Client) {
        if let Err(e) = client.conn.flush() {
            log::debug!("Error writing to client: {e}");
            return self.close_soon(client);
        }
        let before = client.net_out;
        self.write_replies(client);
        if client.has(ClientFlags::REPLICA) {
            self.write_to_replica(client, before);
        }
        if client.out.is_empty() {
            self.recycle_out(client);
            if client.conn.wants_write() {
                // Taken by the TLS session, not by the socket yet.
                client.flags.insert(ClientFlags::WRITE_BLOCKED);
            } else if client.has(ClientFlags::CLOSE_AFTER_REPLY) {
                self.close_soon(client);
            }
        } else {
            self.check_output_limit(client);
        }
    }

    /// Behind its replies a replica gets its snapshot and the stream. `before`: its `net_out` before this turn's writing.
    fn write_to_replica(&mut self, client: &mut Client, before: u64) {
        let mut pieces = 0;
        while client.out.is_empty() && self.next_piece(client) {
            self.write_replies(client);
            pieces += 1;
            if pieces == PIECES_PER_TURN && client.out.is_empty() {
                // The socket takes more, but others wait: it goes on in the next turn.
                self.queue_write(client);
                self.master.more = true;
                break;
            }
        }
        self.master.net_out += client.net_out - before;
        self.note_progress(client, client.net_out > before);
        if client.out.is_empty() && !client.has(ClientFlags::CLOSE_ASAP) {
            self.write_stream(client);
        }
    }

    fn write_replies(&mut self, client: &mut Client) {
        while !client.out.is_empty() {
            let wanted = client.out.pending();
            let r = match client.out.single() {
                Some(bytes) => client.conn.write(bytes),
                None => {
                    let (slices, n) = client.out.slices();
                    client.conn.write_slices(&slices[..n])
                }
            };
            match r {
                Ok(n) => {
                    self.stats.writes += 1;
                    self.stats.net_out += n as u64;
                    client.net_out += n as u64;
                    let whole = client.out.single().is_some();
                    client.out.advance(n);
                    if n < wanted && whole {
                        client.flags.insert(ClientFlags::WRITE_BLOCKED);
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    client.flags.insert(ClientFlags::WRITE_BLOCKED);
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::debug!("Error writing to client: {e}");
                    return self.close_soon(client);
                }
            }
        }
    }

    /// An idle client keeps no output buffer: its room serves the next reply of anybody.
    fn recycle_out(&mut self, client: &mut Client) {
        if let Some(room) = client.out.take_room()
            && room.capacity() <= SPARE_MAX
            && self.queues.spare_out.len() < SPARE_BUFFERS
        {
            self.queues.spare_bytes += room.capacity();
            self.queues.spare_out.push(room);
        }
    }

    /// Gives a client that is about to run commands the room of an output buffer that nobody uses now.
    #[inline]
    pub fn lend_out_buffer(&mut self, client: &mut Client) {
        if client.out.needs_room()
            && let Some(room) = self.queues.spare_out.pop()
        {
            self.queues.spare_bytes -= room.capacity();
            client.out.give_room(room);
        }
    }

    /// Closes a client whose output buffer passed its hard limit, or its soft limit for too long.
    pub fn check_output_limit(&mut self, client: &mut Client) {
        let stream = self.stream_held(client);
        if deliver::over_limit(&self.config, self.clock.now_s(), client, stream) {
            self.stats.output_buffer_limit_disconnections += 1;
            self.close_soon(client);
        }
    }

    /// The same for a client that just ran commands, before anything is written. Few replies are no case for a look.
    #[inline]
    pub fn look_at_output(&mut self, client: &mut Client) {
        if client.out.counted() > 0 || client.out.choked() {
            self.check_output_limit(client);
        }
    }

    /// Closes every client that was marked.
    pub fn close_marked(&mut self) {
        while let Some(h) = self.queues.close.pop() {
            if let Some(mut client) = self.clients.remove(h) {
                self.forget(&mut client);
                if client.has(ClientFlags::MASTER) {
                    self.master_is_gone(&client);
                }
            }
        }
    }

    /// Undoes every trace of a client in the other rooms and closes its connection.
    pub(super) fn forget(&mut self, client: &mut Client) {
        if client.has(ClientFlags::PENDING_FANOUT) && !self.replies_wait_for_sync() {
            // The publisher may have its answer already: what was sent before the end is not lost with it.
            self.write_replies(client);
        }
        crate::exec::blocking::unlink(self, client);
        crate::exec::multi::unwatch(self, client);
        if let Some(own) = client.subs.take() {
            self.pubsub.forget(client.handle, &own);
        }
        crate::server::tracked::disable(self, client);
        crate::server::monitor::stop(self, client);
        self.client_memory.forget(client);
        client.conn.say_goodbye();
        self.forget_replica(client);
        let _ = self.poller.remove_conn(&mut client.conn);
    }
}
