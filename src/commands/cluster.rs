//! CLUSTER, READONLY, READWRITE and ASKING of a server that is no node of a cluster: all of them say so.
//!
//! The rows are there because COMMAND, ACL and the arity check know them whether or not there is a cluster; the one answer is what
//! upstream gives with `cluster-enabled no`. A server told `cluster-enabled yes` does not start (`server::startup`).

use crate::exec::command::{Command, Group, acl, flags};
use crate::exec::{Ctx, Outcome};
use crate::resp::Error;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&CLUSTER, &READONLY, &READWRITE, &ASKING];

fn disabled(_: &mut Ctx<'_>) -> Outcome {
    Err(Error::new("ERR This instance has cluster support disabled"))
}

/// What the rows have in common; `words` are the flags.
const fn row(name: &'static str, arity: i32, words: &str, since: &'static str) -> Command {
    Command {
        name,
        handler: disabled,
        arity,
        flags: flags(words),
        group: Group::Cluster,
        since,
        complexity: "O(1)",
        ..Command::DEFAULT
    }
}

/// Flags of what changes the node.
const CHANGES: &str = "admin stale no_async_loading";
/// The tip of answers that differ from node to node.
const DIFFERS: &[&str] = &["nondeterministic_output"];
/// The cost of what goes through all nodes.
const PER_NODE: &str = "O(N) where N is the total number of Cluster nodes";
/// The cost of what goes through the arguments.
const PER_SLOT: &str = "O(N) where N is the total number of hash slot arguments";
/// The cost of what goes through ranges of slots.
const PER_RANGE: &str =
    "O(N) where N is the total number of the slots between the start slot and end slot arguments.";

/// The row of READONLY.
pub static READONLY: Command = Command {
    acl: acl("connection"),
    summary: "Lets this connection read from a replica of the slots' owner.",
    ..row("readonly", 1, "loading stale fast", "3.0.0")
};

/// The row of READWRITE.
pub static READWRITE: Command = Command {
    acl: acl("connection"),
    summary: "Takes back READONLY.",
    ..row("readwrite", 1, "loading stale fast", "3.0.0")
};

/// The row of ASKING.
pub static ASKING: Command = Command {
    acl: acl("connection"),
    summary: "Announces that the next command follows an ASK redirection.",
    ..row("asking", 1, "fast", "3.0.0")
};

/// The row of CLUSTER.
pub static CLUSTER: Command = Command {
    name: "cluster",
    arity: -2,
    group: Group::Cluster,
    since: "3.0.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about the cluster.",
    subcommands: &[
        &ADDSLOTS,
        &ADDSLOTSRANGE,
        &BUMPEPOCH,
        &COUNT_FAILURE_REPORTS,
        &COUNTKEYSINSLOT,
        &DELSLOTS,
        &DELSLOTSRANGE,
        &FAILOVER,
        &FLUSHSLOTS,
        &FORGET,
        &GETKEYSINSLOT,
        &HELP,
        &INFO,
        &KEYSLOT,
        &LINKS,
        &MEET,
        &MYID,
        &MYSHARDID,
        &NODES,
        &REPLICAS,
        &REPLICATE,
        &RESET,
        &SAVECONFIG,
        &SET_CONFIG_EPOCH,
        &SETSLOT,
        &SHARDS,
        &SLAVES,
        &SLOT_STATS,
        &SLOTS,
    ],
    ..Command::DEFAULT
};

static ADDSLOTS: Command = Command {
    complexity: PER_SLOT,
    summary: "Makes this node the owner of slots.",
    args: "slot:int...",
    ..row("cluster|addslots", -3, CHANGES, "3.0.0")
};

static ADDSLOTSRANGE: Command = Command {
    complexity: PER_RANGE,
    summary: "Makes this node the owner of ranges of slots.",
    args: "range(start-slot:int end-slot:int)...",
    ..row("cluster|addslotsrange", -4, CHANGES, "7.0.0")
};

static BUMPEPOCH: Command = Command {
    summary: "Raises the configuration epoch of this node.",
    tips: DIFFERS,
    ..row("cluster|bumpepoch", 2, CHANGES, "3.0.0")
};

static COUNT_FAILURE_REPORTS: Command = Command {
    complexity: "O(N) where N is the number of failure reports",
    summary: "Counts the reports that say a node fails.",
    tips: DIFFERS,
    args: "node-id",
    ..row("cluster|count-failure-reports", 3, "admin stale", "3.0.0")
};

static COUNTKEYSINSLOT: Command = Command {
    summary: "Counts the keys of a slot.",
    args: "slot:int",
    ..row("cluster|countkeysinslot", 3, "stale", "3.0.0")
};

static DELSLOTS: Command = Command {
    complexity: PER_SLOT,
    summary: "Makes this node forget who owns slots.",
    args: "slot:int...",
    ..row("cluster|delslots", -3, CHANGES, "3.0.0")
};

static DELSLOTSRANGE: Command = Command {
    complexity: PER_RANGE,
    summary: "Makes this node forget who owns ranges of slots.",
    args: "range(start-slot:int end-slot:int)...",
    ..row("cluster|delslotsrange", -4, CHANGES, "7.0.0")
};

static FAILOVER: Command = Command {
    summary: "Has a replica take its master's place.",
    args: "[options(FORCE | TAKEOVER)]",
    ..row("cluster|failover", -2, CHANGES, "3.0.0")
};

static FLUSHSLOTS: Command = Command {
    summary: "Takes all slots off this node.",
    ..row("cluster|flushslots", 2, CHANGES, "3.0.0")
};

static FORGET: Command = Command {
    summary: "Takes a node off this node's table.",
    args: "node-id",
    ..row("cluster|forget", 3, CHANGES, "3.0.0")
};

static GETKEYSINSLOT: Command = Command {
    complexity: "O(N) where N is the number of requested keys",
    summary: "Lists keys of a slot.",
    tips: DIFFERS,
    args: "slot:int count:int",
    ..row("cluster|getkeysinslot", 4, "stale", "3.0.0")
};

static HELP: Command = Command {
    summary: "Shows what CLUSTER can do.",
    ..row("cluster|help", 2, "loading stale", "5.0.0")
};

static INFO: Command = Command {
    summary: "Tells how the cluster is.",
    tips: DIFFERS,
    ..row("cluster|info", 2, "stale", "3.0.0")
};

static KEYSLOT: Command = Command {
    complexity: "O(N) where N is the number of bytes in the key",
    summary: "Tells the slot of a key.",
    args: "key",
    ..row("cluster|keyslot", 3, "stale", "3.0.0")
};

static LINKS: Command = Command {
    complexity: PER_NODE,
    summary: "Lists the connections with other nodes.",
    tips: DIFFERS,
    ..row("cluster|links", 2, "stale", "7.0.0")
};

static MEET: Command = Command {
    summary: "Has this node meet another one.",
    args: "ip port:int [cluster-bus-port:int]{4.0.0}",
    ..row("cluster|meet", -4, CHANGES, "3.0.0")
};

static MYID: Command = Command {
    summary: "Tells this node's id.",
    ..row("cluster|myid", 2, "stale", "3.0.0")
};

static MYSHARDID: Command = Command {
    summary: "Tells the id of this node's shard.",
    tips: DIFFERS,
    ..row("cluster|myshardid", 2, "stale", "7.2.0")
};

static NODES: Command = Command {
    complexity: PER_NODE,
    summary: "Lists the nodes as this one sees them.",
    tips: DIFFERS,
    ..row("cluster|nodes", 2, "stale", "3.0.0")
};

static REPLICAS: Command = Command {
    complexity: "O(N) where N is the number of replicas.",
    summary: "Lists the replicas of a master.",
    tips: DIFFERS,
    args: "node-id",
    ..row("cluster|replicas", 3, "admin stale", "5.0.0")
};

static REPLICATE: Command = Command {
    summary: "Makes this node a replica of a master.",
    args: "node-id",
    ..row("cluster|replicate", 3, CHANGES, "3.0.0")
};

static RESET: Command = Command {
    complexity: "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
    summary: "Makes this node a node without a cluster.",
    args: "[reset-type(HARD | SOFT)]",
    ..row("cluster|reset", -2, "admin noscript stale", "3.0.0")
};

static SAVECONFIG: Command = Command {
    summary: "Writes the node's table to its file.",
    ..row("cluster|saveconfig", 2, CHANGES, "3.0.0")
};

static SET_CONFIG_EPOCH: Command = Command {
    summary: "Sets the configuration epoch of a new node.",
    args: "config-epoch:int",
    ..row("cluster|set-config-epoch", 3, CHANGES, "3.0.0")
};

static SETSLOT: Command = Command {
    summary: "Tells who owns a slot, or where it moves.",
    args: "slot:int subcommand(IMPORTING importing<node-id> | MIGRATING migrating<node-id> | \
        NODE node<node-id> | STABLE)",
    ..row("cluster|setslot", -4, CHANGES, "3.0.0")
};

static SHARDS: Command = Command {
    complexity: "O(N) where N is the total number of cluster nodes",
    summary: "Lists slots and nodes, shard by shard.",
    tips: DIFFERS,
    ..row("cluster|shards", 2, "loading stale", "7.0.0")
};

static SLAVES: Command = Command {
    complexity: "O(N) where N is the number of replicas.",
    summary: "Lists the replicas of a master, the older word.",
    deprecated_since: "5.0.0",
    replaced_by: "`CLUSTER REPLICAS`",
    tips: DIFFERS,
    args: "node-id",
    ..row("cluster|slaves", 3, "admin stale", "3.0.0")
};

static SLOT_STATS: Command = Command {
    complexity: "O(N) where N is the total number of slots based on arguments. O(N*log(N)) with ORDERBY subcommand.",
    summary: "Tells how slots are used.",
    tips: &["nondeterministic_output", "request_policy:all_shards"],
    args: "filter(SLOTSRANGE slotsrange(start-slot:int end-slot:int) | \
        ORDERBY orderby(metric [LIMIT limit:int] [order(ASC | DESC)]))",
    ..row("cluster|slot-stats", -4, "loading stale", "8.2.0")
};

static SLOTS: Command = Command {
    complexity: PER_NODE,
    summary: "Lists slots and the nodes that own them.",
    deprecated_since: "7.0.0",
    replaced_by: "`CLUSTER SHARDS`",
    tips: DIFFERS,
    ..row("cluster|slots", 2, "loading stale", "3.0.0")
};
