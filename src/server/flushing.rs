//! Clients whose flushed data another thread is freeing.

use super::Server;
use crate::client::blocked::BlockKind;
use crate::exec::blocking;

impl Server {
    /// Answers those whose data are gone, as the fences of the freeing thread tell.
    pub(super) fn finish_flushes(&mut self) {
        self.answer_flushes(self.ks.lazy.last_fence());
    }

    /// Answers everybody who waits for that, before it is so: this server becomes a replica.
    pub(super) fn finish_flushes_early(&mut self) {
        self.answer_flushes(u64::MAX);
    }

    fn answer_flushes(&mut self, newest: u64) {
        for h in blocking::clients_waiting_since(self, BlockKind::Freeing, newest) {
            blocking::release(self, h, false, |c| c.reply().ok());
        }
    }
}
