//! Finding places: GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family, which are the same search with other arguments.
//!
//! `Search::parse` reads the arguments of all of them, `Search::run` looks into the cells that cover the shape, in upstream's
//! order, so that unsorted results come in the same order too.

use super::{place, reply_distance, reply_place, unit};
use crate::commands::zset::limits;
use crate::commands::zset::range::store;
use crate::ds::geohash::{Extent, Place, Shape};
use crate::ds::numtext::parse_f64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::keyspace::{Key, ValueRef};
use crate::resp::{Error, Reply};
use crate::types::zset::{AddFlags, Limits, ScoreRange, ZSet};

/// Which command a search came as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEOSEARCH
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
    /// GEORADIUS; may it store?
    Radius(bool),
    /// GEORADIUSBYMEMBER; may it store?
    ByMember(bool),
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    fn may_store(self) -> bool {
        matches!(self, Form::Radius(true) | Form::ByMember(true))
    }
}

/// Where the middle of the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Nothing,
    Member,
    Coordinates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Any,
    Near,
    Far,
}

/// A parsed search.
struct Search<'a> {
    center: Option<Place>,
    extent: Option<Extent>,
    /// Meters in the unit of the arguments and replied distances.
    meters: f64,
    order: Order,
    /// COUNT, 0 for all; with ANY the first ones found will do.
    count: usize,
    any: bool,
    with_dist: bool,
    with_hash: bool,
    with_coord: bool,
    store: Option<Key<'a>>,
    /// Distances are stored as scores.
    store_dist: bool,
}

/// A place that was found.
struct Found {
    member: Vec<u8>,
    score: f64,
    /// From the middle, meters.
    distance: f64,
    place: Place,
}

/// A distance as an argument: no negative number.
fn length(text: &[u8], not_numeric: &'static str, negative: &'static str) -> Result<f64, Error> {
    let v = parse_f64(text).ok_or(Error::new(not_numeric))?;
    if v < 0.0 {
        return Err(Error::new(negative));
    }
    Ok(v)
}

impl<'a> Search<'a> {
    fn new() -> Self {
        Search {
            center: None,
            extent: None,
            meters: 1.0,
            order: Order::Any,
            count: 0,
            any: false,
            with_dist: false,
            with_hash: false,
            with_coord: false,
            store: None,
            store_dist: false,
        }
    }

    /// Parses the arguments; `from` is the key to search, `None` as the set is no error yet.
    fn parse(ctx: &Ctx<'a>, form: Form, zset: Option<&ZSet>) -> Result<Self, Error> {
        let mut s = Search::new();
        let first = match form {
            Form::Radius(_) => {
                s.center = Some(place(ctx.arg(2), ctx.arg(3))?);
                s.radius(ctx, 4)?;
                6
            }
            // Without the key, the radius is not looked at.
            Form::ByMember(_) if zset.is_none() => 5,
            Form::ByMember(_) => {
                s.member(ctx.arg(2), zset)?;
                s.radius(ctx, 3)?;
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                s.store = Some(ctx.key(1));
                3
            }
        };
        let from = s.options(ctx, form, zset, first)?;
        s.check(ctx, form, from)?;
        if s.count > 0 && s.order == Order::Any && !s.any {
            // The nearest ones are meant.
            s.order = Order::Near;
        }
        Ok(s)
    }

    fn member(&mut self, member: &[u8], zset: Option<&ZSet>) -> Result<(), Error> {
        if let Some(zset) = zset {
            let score = zset
                .score(member)
                .ok_or(Error::new("ERR could not decode requested zset member"))?;
            self.center = Some(Place::decode(score));
        }
        Ok(())
    }

    /// Reads `radius unit` from argument `i` on.
    fn radius(&mut self, ctx: &Ctx<'_>, i: usize) -> Result<(), Error> {
        let radius = length(
            ctx.arg(i),
            "ERR need numeric radius",
            "ERR radius cannot be negative",
        )?;
        self.meters = unit(ctx.arg(i + 1))?;
        self.extent = Some(Extent::Radius(radius * self.meters));
        Ok(())
    }

    /// Reads `width height unit` from argument `i` on.
    fn bybox(&mut self, ctx: &Ctx<'_>, i: usize) -> Result<(), Error> {
        let width = parse_f64(ctx.arg(i)).ok_or(Error::new("ERR need numeric width"))?;
        let height = parse_f64(ctx.arg(i + 1)).ok_or(Error::new("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::new("ERR height or width cannot be negative"));
        }
        self.meters = unit(ctx.arg(i + 2))?;
        self.extent = Some(Extent::Box(width * self.meters, height * self.meters));
        Ok(())
    }

    /// Reads the options from argument `i` on; where the middle comes from, if an option says so.
    fn options(
        &mut self,
        ctx: &Ctx<'a>,
        form: Form,
        zset: Option<&ZSet>,
        mut i: usize,
    ) -> Result<From, Error> {
        let mut from = From::Nothing;
        while i < ctx.args.len() {
            let left = ctx.args.len() - i - 1;
            if self.flag(ctx, i) {
            } else if ctx.is(i, "COUNT") && left >= 1 {
                let n = ctx.int(i + 1)?;
                if n <= 0 {
                    return Err(Error::new("ERR COUNT must be > 0"));
                }
                self.count = n as usize;
                i += 1;
            } else if form.may_store() && left >= 1 && self.target(ctx, i) {
                i += 1;
            } else if form == Form::SearchStore && ctx.is(i, "STOREDIST") {
                self.store_dist = true;
            } else if form.is_search() {
                i += self.search_option(ctx, zset, i, left, &mut from)?;
            } else {
                return Err(Error::Syntax);
            }
            i += 1;
        }
        Ok(from)
    }

    /// The options of one word that every form takes (or refuses later).
    fn flag(&mut self, ctx: &Ctx<'_>, i: usize) -> bool {
        if ctx.is(i, "WITHDIST") {
            self.with_dist = true;
        } else if ctx.is(i, "WITHHASH") {
            self.with_hash = true;
        } else if ctx.is(i, "WITHCOORD") {
            self.with_coord = true;
        } else if ctx.is(i, "ANY") {
            self.any = true;
        } else if ctx.is(i, "ASC") {
            self.order = Order::Near;
        } else if ctx.is(i, "DESC") {
            self.order = Order::Far;
        } else {
            return false;
        }
        true
    }

    /// STORE key, STOREDIST key: the last one counts.
    fn target(&mut self, ctx: &Ctx<'a>, i: usize) -> bool {
        let dist = ctx.is(i, "STOREDIST");
        if dist || ctx.is(i, "STORE") {
            self.store = Some(ctx.key(i + 1));
            self.store_dist = dist;
            return true;
        }
        false
    }

    /// FROMMEMBER, FROMLONLAT, BYRADIUS, BYBOX: how many arguments follow the word.
    fn search_option(
        &mut self,
        ctx: &Ctx<'_>,
        zset: Option<&ZSet>,
        i: usize,
        left: usize,
        from: &mut From,
    ) -> Result<usize, Error> {
        let (boxed, round) = match self.extent {
            Some(Extent::Box(..)) => (true, false),
            Some(Extent::Radius(_)) => (false, true),
            None => (false, false),
        };
        if ctx.is(i, "FROMMEMBER") && left >= 1 && *from != From::Coordinates {
            self.member(ctx.arg(i + 1), zset)?;
            *from = From::Member;
            Ok(1)
        } else if ctx.is(i, "FROMLONLAT") && left >= 2 && *from != From::Member {
            self.center = Some(place(ctx.arg(i + 1), ctx.arg(i + 2))?);
            *from = From::Coordinates;
            Ok(2)
        } else if ctx.is(i, "BYRADIUS") && left >= 2 && !boxed {
            self.radius(ctx, i + 1)?;
            Ok(2)
        } else if ctx.is(i, "BYBOX") && left >= 3 && !round {
            self.bybox(ctx, i + 1)?;
            Ok(3)
        } else {
            Err(Error::Syntax)
        }
    }

    /// Refuses what does not go together.
    fn check(&self, ctx: &Ctx<'_>, form: Form, from: From) -> Result<(), Error> {
        if self.store.is_some() && (self.with_dist || self.with_hash || self.with_coord) {
            let what = if form.is_search() {
                "GEOSEARCHSTORE"
            } else {
                "STORE option in GEORADIUS"
            };
            return Err(Error::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let name = ctx.command.name;
        if form.is_search() && from == From::Nothing {
            return Err(Error::text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if form.is_search() && self.extent.is_none() {
            return Err(Error::text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.any && self.count == 0 {
            return Err(Error::new("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// What is found, in order and no more than asked for.
    fn run(&self, zset: &ZSet) -> Vec<Found> {
        let mut found = Vec::new();
        let (Some(center), Some(extent)) = (self.center, self.extent) else {
            return found;
        };
        let shape = Shape { center, extent };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut last = None;
        for (i, cell) in shape.cells().enumerate() {
            // On a coarse grid neighbours may be the same cell.
            if last == Some(cell) {
                continue;
            }
            if found.len() >= enough {
                break;
            }
            collect(zset, &shape, cell.scores(), enough, &mut found);
            last = (i > 0).then_some(cell);
        }
        match self.order {
            Order::Any => {}
            Order::Near => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Order::Far => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn reply(&self, reply: &mut Reply<'_>, found: &[Found]) {
        let extras = usize::from(self.with_dist)
            + usize::from(self.with_hash)
            + usize::from(self.with_coord);
        reply.array(found.len());
        for f in found {
            if extras > 0 {
                reply.array(1 + extras);
            }
            reply.bulk(&f.member);
            if self.with_dist {
                reply_distance(reply, f.distance / self.meters);
            }
            if self.with_hash {
                reply.int(f.score as i64);
            }
            if self.with_coord {
                reply_place(reply, f.place);
            }
        }
    }

    /// A sorted set of what was found.
    fn collected(&self, found: &[Found], limits: Limits) -> Option<ZSet> {
        let longest = found.iter().map(|f| f.member.len()).max()?;
        let mut zset = ZSet::new(found.len(), longest, limits);
        for f in found {
            let score = if self.store_dist {
                f.distance / self.meters
            } else {
                f.score
            };
            // A distance of places in range is never NaN; a place comes once.
            let _ = zset.add(&f.member, score, AddFlags::default(), limits);
        }
        Some(zset)
    }
}

/// Adds the places of a cell that are inside the shape.
fn collect(
    zset: &ZSet,
    shape: &Shape,
    (first, end): (u64, u64),
    enough: usize,
    found: &mut Vec<Found>,
) {
    let range = ScoreRange {
        min: first as f64,
        max: end as f64,
        min_open: false,
        max_open: true,
    };
    for (member, score) in zset.range(zset.score_window(&range), false) {
        let place = Place::decode(score);
        if let Some(distance) = shape.distance_if_inside(place) {
            found.push(Found {
                member: member.to_vec(),
                score,
                distance,
                place,
            });
            if found.len() >= enough {
                break;
            }
        }
    }
}

fn search(ctx: &mut Ctx<'_>, form: Form) -> Outcome {
    let event = if form.is_search() {
        "geosearchstore"
    } else {
        "georadiusstore"
    };
    let from = ctx.key(if form == Form::SearchStore { 2 } else { 1 });
    let (search, found) = {
        // The set is looked up before the arguments are: its errors come first.
        let live = ctx.db().read_value::<ZSet>(from)?.is_some();
        let keys = &ctx.server.ks.dbs[ctx.client.db as usize].keys;
        let zset = live
            .then(|| keys.find(from.hash, from.bytes))
            .flatten()
            .and_then(ValueRef::<ZSet>::of);
        let search = Search::parse(ctx, form, zset.as_deref())?;
        let found = zset.map_or_else(Vec::new, |z| search.run(&z));
        (search, found)
    };
    let (mut db, mut reply, config) = ctx.parts();
    match search.store {
        Some(to) => {
            let n = store(&mut db, to, search.collected(&found, limits(config)), event);
            reply.int(n);
        }
        None => search.reply(&mut reply, &found),
    }
    Ok(Flow::Done)
}

/// The row of GEOSEARCH.
pub static GEOSEARCH: Command = Command {
    name: "geosearch",
    handler: geosearch,
    arity: -7,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding \
        box area around the shape provided as the filter and M is the number of items \
        inside the shape",
    summary: "Finds the places inside a circle or a box.",
    args: "key@0 \
        from(FROMMEMBER member | FROMLONLAT fromlonlat(longitude:double latitude:double)) \
        by(circle(BYRADIUS radius:double unit(M | KM | FT | MI)) | box(BYBOX width:double \
        height:double unit(M | KM | FT | MI))) [order(ASC | DESC)] \
        [count-block(COUNT count:int [ANY])] [WITHCOORD] [WITHDIST] [WITHHASH]",
    ..Command::DEFAULT
};

fn geosearch(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::Search)
}

/// The row of GEOSEARCHSTORE.
pub static GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    handler: geosearchstore,
    arity: -8,
    flags: flags("write denyoom"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "OW update"), KeySpec::at(2, "RO access")],
    group: Group::Geo,
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding \
        box area around the shape provided as the filter and M is the number of items \
        inside the shape",
    summary: "Stores the places inside a circle or a box.",
    args: "destination@0 source@1 \
        from(FROMMEMBER member | FROMLONLAT fromlonlat(longitude:double latitude:double)) \
        by(circle(BYRADIUS radius:double unit(M | KM | FT | MI)) | box(BYBOX width:double \
        height:double unit(M | KM | FT | MI))) [order(ASC | DESC)] \
        [count-block(COUNT count:int [ANY])] [STOREDIST]",
    ..Command::DEFAULT
};

fn geosearchstore(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::SearchStore)
}

/// The row of GEORADIUS.
pub static GEORADIUS: Command = Command {
    name: "georadius",
    handler: georadius,
    arity: -6,
    flags: flags("write denyoom"),
    acl: acl("geo"),
    keys: &[
        KeySpec::at(1, "RO access"),
        KeySpec::after("STORE", 6, "OW update"),
        KeySpec::after("STOREDIST", 6, "OW update"),
    ],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the \
        circular area delimited by center and radius and M is the number of items inside \
        the index.",
    summary: "Finds the places around a point and may store them.",
    deprecated_since: "6.2.0",
    replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    args: "key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) \
        [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:int [ANY]{6.2.0})] \
        [order(ASC | DESC)] [store(STORE storekey<key>@1 | STOREDIST storedistkey<key>@2)]",
    ..Command::DEFAULT
};

fn georadius(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::Radius(true))
}

/// The row of GEORADIUS_RO.
pub static GEORADIUS_RO: Command = Command {
    name: "georadius_ro",
    handler: georadius_ro,
    arity: -6,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "3.2.10",
    complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the \
        circular area delimited by center and radius and M is the number of items inside \
        the index.",
    summary: "Finds the places around a point.",
    deprecated_since: "6.2.0",
    replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
    args: "key@0 longitude:double latitude:double radius:double unit(M | KM | FT | MI) \
        [WITHCOORD] [WITHDIST] [WITHHASH] [count-block(COUNT count:int [ANY]{6.2.0})] \
        [order(ASC | DESC)]",
    ..Command::DEFAULT
};

fn georadius_ro(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::Radius(false))
}

/// The row of GEORADIUSBYMEMBER.
pub static GEORADIUSBYMEMBER: Command = Command {
    name: "georadiusbymember",
    handler: georadiusbymember,
    arity: -5,
    flags: flags("write denyoom"),
    acl: acl("geo"),
    keys: &[
        KeySpec::at(1, "RO access"),
        KeySpec::after("STORE", 5, "OW update"),
        KeySpec::after("STOREDIST", 5, "OW update"),
    ],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the \
        circular area delimited by center and radius and M is the number of items inside \
        the index.",
    summary: "Finds the places around another place and may store them.",
    deprecated_since: "6.2.0",
    replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    args: "key@0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] \
        [WITHHASH] [count-block(COUNT count:int [ANY])] [order(ASC | DESC)] \
        [store(STORE storekey<key>@1 | STOREDIST storedistkey<key>@2)]",
    ..Command::DEFAULT
};

fn georadiusbymember(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::ByMember(true))
}

/// The row of GEORADIUSBYMEMBER_RO.
pub static GEORADIUSBYMEMBER_RO: Command = Command {
    name: "georadiusbymember_ro",
    handler: georadiusbymember_ro,
    arity: -5,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "3.2.10",
    complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the \
        circular area delimited by center and radius and M is the number of items inside \
        the index.",
    summary: "Finds the places around another place.",
    deprecated_since: "6.2.0",
    replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    args: "key@0 member radius:double unit(M | KM | FT | MI) [WITHCOORD] [WITHDIST] \
        [WITHHASH] [count-block(COUNT count:int [ANY])] [order(ASC | DESC)]",
    ..Command::DEFAULT
};

fn georadiusbymember_ro(ctx: &mut Ctx<'_>) -> Outcome {
    search(ctx, Form::ByMember(false))
}
