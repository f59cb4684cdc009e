//! FAILOVER: a planned change of roles. Writes are paused until a replica has everything (or time is over), then this server
//! becomes its replica and asks it, by PSYNC, to take over. The replica's half is `server::replica::handover`.

use super::{ReplicaStage, Server, ip_of};
use crate::client::{Client, ClientRef};
use crate::config::values::MasterAddr;
use crate::exec::pause::{self, Mode, Purpose};
use crate::resp::Error;

/// How far a failover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// There is none.
    #[default]
    None,
    /// Writes are paused until a replica has caught up.
    WaitingForSync,
    /// We are a replica of the chosen one, which has not answered yet.
    InProgress,
}

/// The failover under way. See the head of this file.
#[derive(Debug, Default)]
pub struct Failover {
    /// How far it is.
    pub stage: Stage,
    /// To whom; None: to whoever has caught up first.
    target: Option<MasterAddr>,
    /// When to stop waiting, Unix ms; 0: never.
    until_ms: i64,
    /// When time is over, go on with the target as it is.
    force: bool,
}

impl Stage {
    /// What INFO calls it (`master_failover_state`).
    pub fn name(self) -> &'static str {
        match self {
            Stage::None => "no-failover",
            Stage::WaitingForSync => "waiting-for-sync",
            Stage::InProgress => "failover-in-progress",
        }
    }
}

/// What FAILOVER asks for.
#[derive(Debug, Default)]
pub struct Wish {
    /// TO host port.
    pub target: Option<MasterAddr>,
    /// TIMEOUT, ms.
    pub timeout_ms: Option<i64>,
    /// FORCE.
    pub force: bool,
}

fn address_of(client: &Client) -> MasterAddr {
    MasterAddr {
        host: ip_of(client).into_bytes().as_slice().into(),
        port: client.replica.as_ref().map_or(0, |r| r.port),
    }
}

fn show(to: &MasterAddr) -> String {
    format!("{}:{}", to.host.to_str_lossy(), to.port)
}

impl Server {
    /// Whether there is one.
    pub fn failover_under_way(&self) -> bool {
        self.master.failover.stage != Stage::None
    }

    /// Begins one.
    pub fn begin_failover(&mut self, wish: Wish) -> Result<(), Error> {
        if self.failover_under_way() {
            return Err(Error::new("ERR FAILOVER already in progress."));
        }
        if self.is_replica() {
            return Err(Error::new(
                "ERR FAILOVER is not valid when server is a replica.",
            ));
        }
        if self.repl.replicas.is_empty() {
            return Err(Error::new("ERR FAILOVER requires connected replicas."));
        }
        if wish.force && (wish.timeout_ms.is_none() || wish.target.is_none()) {
            return Err(Error::new(
                "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
            ));
        }
        if let Some(to) = &wish.target {
            self.check_target(to)?;
        }
        match &wish.target {
            Some(to) => log::info!("FAILOVER requested to {}.", show(to)),
            None => log::info!("FAILOVER requested to any replica."),
        }
        let now_ms = self.clock.now_ms;
        self.master.failover = Failover {
            stage: Stage::WaitingForSync,
            target: wish.target,
            until_ms: wish.timeout_ms.map_or(0, |ms| now_ms.saturating_add(ms)),
            force: wish.force,
        };
        pause::pause(self, Purpose::Failover, Mode::Write, i64::MAX);
        Ok(())
    }

    fn find_replica(&self, to: &MasterAddr) -> Option<&Client> {
        let all = self.repl.replicas.iter();
        let mut found = all.filter_map(|h| self.clients.get(*h));
        found.find(|c| address_of(c) == *to)
    }

    fn check_target(&self, to: &MasterAddr) -> Result<(), Error> {
        let found = self.find_replica(to).and_then(|c| c.replica.as_ref());
        match found {
            None => Err(Error::new(
                "ERR FAILOVER target HOST and PORT is not a replica.",
            )),
            Some(r) if r.stage != ReplicaStage::Online => {
                Err(Error::new("ERR FAILOVER target replica is not online."))
            }
            Some(_) => Ok(()),
        }
    }

    /// At the end of a turn: hands over when a replica has everything, or when time is over.
    pub(in crate::server) fn go_on_with_failover(&mut self) {
        let f = &self.master.failover;
        if f.stage != Stage::WaitingForSync || self.propagation.in_unit() {
            return;
        }
        if f.until_ms > 0 && self.clock.now_ms >= f.until_ms {
            return match f.target.clone().filter(|_| f.force) {
                Some(to) => {
                    log::info!("Failover to {} time out exceeded, failing over.", show(&to));
                    self.hand_over(to);
                }
                None => self.abort_failover("Replica never caught up before timeout"),
            };
        }
        if let Some(to) = self.caught_up() {
            log::info!("Failover target {} is synced, failing over.", show(&to));
            self.hand_over(to);
        }
    }

    /// When to look again at the latest, Unix ms.
    pub(in crate::server) fn failover_deadline_ms(&self) -> i64 {
        let f = &self.master.failover;
        match f.stage {
            Stage::WaitingForSync if f.until_ms > 0 => f.until_ms,
            _ => i64::MAX,
        }
    }

    /// A replica that may take over and has everything.
    fn caught_up(&self) -> Option<MasterAddr> {
        let wanted = &self.master.failover.target;
        let fits = |h: &ClientRef| {
            let client = self.clients.get(*h)?;
            let r = client.replica.as_ref()?;
            let address = address_of(client);
            let has_all = r.stage == ReplicaStage::Online && r.ack_offset == self.repl.offset;
            let meant = wanted.as_ref().is_none_or(|w| *w == address);
            (has_all && meant).then_some(address)
        };
        self.repl.replicas.iter().find_map(fits)
    }

    fn hand_over(&mut self, to: MasterAddr) {
        self.master.failover.stage = Stage::InProgress;
        self.master.failover.target = Some(to.clone());
        self.hand_over_to(to);
    }

    /// It is over, one way or the other: clients go on.
    pub fn end_failover(&mut self) {
        self.master.failover = Failover::default();
        pause::unpause(self, Purpose::Failover);
    }

    /// Gives it up: we go on as the master.
    pub fn abort_failover(&mut self, why: &str) {
        let f = &self.master.failover;
        if f.stage == Stage::None {
            return;
        }
        let state = f.stage.name();
        match &f.target {
            Some(to) => log::warn!("Aborting failover to {} while {state}: {why}", show(to)),
            None => log::warn!("Aborting failover while {state}: {why}"),
        }
        if f.stage == Stage::InProgress {
            self.take_back();
        }
        self.end_failover();
    }
}
