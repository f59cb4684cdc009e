//! Places in sorted sets: GEOADD, GEODIST, GEOHASH, GEOPOS; searches in `search`. The arithmetic is `ds::geohash`.
//!
//! A place is a member whose score is its 52-bit geohash, so every command on sorted sets works on it too.
pub mod search;

use super::zset::add::{AddOptions, apply};
use crate::ds::geohash::Place;
use crate::ds::numtext::parse_f64;
use crate::exec::command::{Command, Group, KeySpec, acl, flags};
use crate::exec::{Ctx, Flow, Outcome};
use crate::resp::{Error, OwnedArgs, Reply, is_word};
use crate::types::zset::ZSet;

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[
    &GEOADD,
    &GEODIST,
    &GEOHASH,
    &GEOPOS,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
    &search::GEORADIUS,
    &search::GEORADIUS_RO,
    &search::GEORADIUSBYMEMBER,
    &search::GEORADIUSBYMEMBER_RO,
];

/// Meters in the unit that a word names.
fn unit(word: &[u8]) -> Result<f64, Error> {
    [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)]
        .into_iter()
        .find(|(name, _)| is_word(word, name.as_bytes()))
        .map(|(_, meters)| meters)
        .ok_or(Error::new(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        ))
}

/// Longitude and latitude as arguments of a command.
fn place(lon: &[u8], lat: &[u8]) -> Result<Place, Error> {
    let number = |text| parse_f64(text).ok_or(Error::NotFloat);
    let place = Place {
        lon: number(lon)?,
        lat: number(lat)?,
    };
    if !place.is_valid() {
        let Place { lon, lat } = place;
        return Err(Error::text(format!(
            "ERR invalid longitude,latitude pair {lon:.6},{lat:.6}"
        )));
    }
    Ok(place)
}

/// Replies a distance: text with four decimals, in RESP3 too.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

fn reply_place(reply: &mut Reply<'_>, place: Place) {
    reply.array(2);
    reply.double(place.lon);
    reply.double(place.lat);
}

/// The row of GEOADD.
pub static GEOADD: Command = Command {
    name: "geoadd",
    handler: geoadd,
    arity: -5,
    flags: flags("write denyoom"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RW update")],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(log(N)) for each item added, where N is the number of elements in the \
        sorted set.",
    summary: "Puts places with longitude and latitude into a geo set.",
    args: "key@0 [condition(NX | XX)]{6.2.0} [change=CH]{6.2.0} \
        data(longitude:double latitude:double member)...",
    ..Command::DEFAULT
};

fn geoadd(ctx: &mut Ctx<'_>) -> Outcome {
    let mut o = AddOptions {
        first: 2,
        ..AddOptions::default()
    };
    while o.first < ctx.args.len() {
        if ctx.is(o.first, "NX") {
            o.flags.nx = true;
        } else if ctx.is(o.first, "XX") {
            o.flags.xx = true;
        } else if ctx.is(o.first, "CH") {
            o.changed = true;
        } else {
            break;
        }
        o.first += 1;
    }
    let triples = ctx.args.from(o.first);
    if !triples.len().is_multiple_of(3) || (o.flags.nx && o.flags.xx) {
        return Err(Error::Syntax);
    }
    let scores = (0..triples.len() / 3)
        .map(|i| Ok(place(triples.at(3 * i), triples.at(3 * i + 1))?.encode()))
        .collect::<Result<Vec<u64>, Error>>()?;
    if scores.is_empty() {
        return Err(Error::Syntax);
    }
    let floats: Vec<f64> = scores.iter().map(|s| *s as f64).collect();
    let flow = apply(ctx, o, &floats, |i| triples.at(3 * i + 2))?;
    if ctx.propagates() {
        // Scores, so that nobody computes them again.
        let mut form = OwnedArgs::from_iter([b"ZADD".as_slice()]);
        ctx.args.slice(1, o.first).iter().for_each(|a| form.push(a));
        for (i, score) in scores.iter().enumerate() {
            form.push_int(*score as i64);
            form.push(triples.at(3 * i + 2));
        }
        ctx.propagate_as(vec![form]);
    }
    Ok(flow)
}

/// The row of GEODIST.
pub static GEODIST: Command = Command {
    name: "geodist",
    handler: geodist,
    arity: -4,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(1)",
    summary: "Measures the distance between two places.",
    args: "key@0 member1 member2 [unit(M | KM | FT | MI)]",
    ..Command::DEFAULT
};

fn geodist(ctx: &mut Ctx<'_>) -> Outcome {
    let meters = match ctx.args.len() {
        4 => 1.0,
        5 => unit(ctx.arg(4))?,
        _ => return Err(Error::Syntax),
    };
    let (key, a, b) = (ctx.key(1), ctx.arg(2), ctx.arg(3));
    let (mut db, mut reply, _) = ctx.parts();
    let places = db
        .read_value::<ZSet>(key)?
        .and_then(|z| Some((z.score(a)?, z.score(b)?)));
    match places {
        Some((a, b)) => {
            let distance = Place::decode(a).distance(Place::decode(b));
            reply_distance(&mut reply, distance / meters);
        }
        None => reply.null(),
    }
    Ok(Flow::Done)
}

/// Replies something for each member named, from argument 2 on.
fn each_place(ctx: &mut Ctx<'_>, show: impl Fn(&mut Reply<'_>, Option<Place>)) -> Outcome {
    let (key, members) = (ctx.key(1), ctx.args.from(2));
    let (mut db, mut reply, _) = ctx.parts();
    let zset = db.read_value::<ZSet>(key)?;
    reply.array(members.len());
    for m in members.iter() {
        let score = zset.as_ref().and_then(|z| z.score(m));
        show(&mut reply, score.map(Place::decode));
    }
    Ok(Flow::Done)
}

/// The row of GEOHASH.
pub static GEOHASH: Command = Command {
    name: "geohash",
    handler: geohash,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(1) for each member requested.",
    summary: "Tells the geohash texts of places.",
    args: "key@0 [member...]",
    ..Command::DEFAULT
};

fn geohash(ctx: &mut Ctx<'_>) -> Outcome {
    each_place(ctx, |reply, place| match place {
        Some(p) => reply.bulk(&p.text()),
        None => reply.null(),
    })
}

/// The row of GEOPOS.
pub static GEOPOS: Command = Command {
    name: "geopos",
    handler: geopos,
    arity: -2,
    flags: flags("readonly"),
    acl: acl("geo"),
    keys: &[KeySpec::at(1, "RO access")],
    group: Group::Geo,
    since: "3.2.0",
    complexity: "O(1) for each member requested.",
    summary: "Tells longitude and latitude of places.",
    args: "key@0 [member...]",
    ..Command::DEFAULT
};

fn geopos(ctx: &mut Ctx<'_>) -> Outcome {
    each_place(ctx, |reply, place| match place {
        Some(p) => reply_place(reply, p),
        None => reply.null_array(),
    })
}
