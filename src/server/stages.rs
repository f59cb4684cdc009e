//! Where the time of a command goes beside running it: waiting for its turn, and waiting for its reply to be written. Measured only
//! while somebody can ask (`metrics-port`).
//!
//! A command waits from the moment the loop woke up with its bytes at hand until it runs, behind the commands served before it in
//! the same turn. Its reply waits until the turn's replies are written; the turn's commands share that moment.

use super::Server;
use crate::client::CommandId;

/// Sums for one command, ns.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimes {
    /// Waiting to run.
    pub queue_ns: u64,
    /// Waiting for the reply to be written.
    pub reply_ns: u64,
}

/// Measuring, turn by turn.
#[derive(Debug, Default)]
pub struct Stages {
    /// Whether anything is measured.
    pub on: bool,
    /// When the loop woke up, monotonic ns.
    woke_ns: u64,
    /// Commands of this turn, and when each had run.
    ran: Vec<(CommandId, u64)>,
    /// Per command, by id.
    times: Vec<StageTimes>,
}

/// Commands of one turn that are followed to their reply; more (a huge pipeline) are not.
const MAX_FOLLOWED: usize = 100_000;

impl Stages {
    /// A turn begins.
    pub fn woke(&mut self, now_ns: u64) {
        self.woke_ns = now_ns;
    }

    /// A command ran from `start_ns` to `end_ns`.
    #[cold]
    pub fn ran(&mut self, id: CommandId, start_ns: u64, end_ns: u64) {
        if self.ran.len() < MAX_FOLLOWED {
            self.ran.push((id, end_ns));
        }
        self.times_of(id).queue_ns += start_ns.saturating_sub(self.woke_ns);
    }

    fn times_of(&mut self, id: CommandId) -> &mut StageTimes {
        if self.times.len() <= id.index() {
            self.times.resize(id.index() + 1, StageTimes::default());
        }
        &mut self.times[id.index()]
    }

    /// The sums of a command.
    pub fn times(&self, id: CommandId) -> StageTimes {
        self.times.get(id.index()).copied().unwrap_or_default()
    }

    /// Forgets the sums.
    pub fn reset(&mut self) {
        self.times.clear();
    }
}

impl Server {
    /// The turn's replies were written.
    pub(super) fn replies_written(&mut self) {
        if self.stages.ran.is_empty() {
            return;
        }
        let now = self.clock.tick();
        let mut ran = std::mem::take(&mut self.stages.ran);
        for (id, end_ns) in ran.drain(..) {
            self.stages.times_of(id).reply_ns += now.saturating_sub(end_ns);
        }
        self.stages.ran = ran;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_summed_by_command() {
        let mut s = Stages::default();
        s.woke(100);
        s.ran(CommandId(3), 110, 150);
        s.ran(CommandId(3), 150, 160);
        assert_eq!(s.times(CommandId(3)).queue_ns, 60);
        assert_eq!((s.times(CommandId(9)).queue_ns, s.ran.len()), (0, 2));
        s.reset();
        assert_eq!(s.times(CommandId(3)).queue_ns, 0);
    }
}
