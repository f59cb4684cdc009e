//! Places on the globe as 52-bit numbers: 26 bits each of latitude and longitude, interleaved, so that places that are near each
//! other mostly share leading bits and a cell of the grid is a range of numbers.
//!
//! The scheme is the public one of geohash-int: even bits are latitude, odd bits longitude, lowest last; latitudes reach as far
//! as the Mercator projection does. Everything is computed in the order upstream computes it, because results are compared bit
//! for bit. [`Shape::cells`] names the (up to nine) cells in which a search has to look.

use std::f64::consts::PI;

/// Longitudes reach from minus this to this (degrees).
pub const LON_MAX: f64 = 180.0;
/// Latitudes reach from minus this to this (degrees): the limit of EPSG:900913.
pub const LAT_MAX: f64 = 85.051_128_78;
/// Bits of each coordinate in a stored place.
pub const STEPS: u32 = 26;
/// Radius of the Earth in meters.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half the Earth's circumference in the Mercator projection, meters.
const MERCATOR_MAX: f64 = 20_037_726.37;

const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// A place in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Longitude.
    pub lon: f64,
    /// Latitude.
    pub lat: f64,
}

/// A cell of the grid: `steps` bits of each coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    steps: u32,
}

/// The sides of a cell or box, degrees.
#[derive(Debug, Clone, Copy)]
struct Sides {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

/// Puts the bits of `v` at even positions.
fn spread(v: u32) -> u64 {
    let mut v = u64::from(v);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN),
    ] {
        v = (v | v << shift) & mask;
    }
    v
}

/// Collects the bits at even positions.
fn gather(v: u64) -> u32 {
    let mut v = v & EVEN;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        v = (v | v >> shift) & mask;
    }
    v as u32
}

/// Interleaves coordinates, each relative to the range from minus its maximum to its maximum.
fn interleave(place: Place, lon_max: f64, lat_max: f64, steps: u32) -> u64 {
    let scale = (1u64 << steps) as f64;
    let part = |v: f64, max: f64| ((v + max) / (2.0 * max) * scale) as u32;
    spread(part(place.lat, lat_max)) | spread(part(place.lon, lon_max)) << 1
}

/// The bits of a score that somebody set by ZADD and that may be anything: what does not fit wraps the way C compilers for
/// x86-64 have it, so that the places told are those of upstream.
fn to_unsigned(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |v: f64| {
        if (-HALF..HALF).contains(&v) {
            v as i64
        } else {
            i64::MIN
        }
    };
    if score < HALF {
        signed(score) as u64
    } else {
        signed(score - HALF) as u64 ^ 1 << 63
    }
}

impl Place {
    /// Whether it can be stored.
    pub fn is_valid(self) -> bool {
        (-LON_MAX..=LON_MAX).contains(&self.lon) && (-LAT_MAX..=LAT_MAX).contains(&self.lat)
    }

    /// The 52-bit number of a valid place.
    pub fn encode(self) -> u64 {
        interleave(self, LON_MAX, LAT_MAX, STEPS)
    }

    /// The place a stored score stands for: the middle of its cell.
    pub fn decode(score: f64) -> Place {
        let cell = Cell {
            bits: to_unsigned(score),
            steps: STEPS,
        };
        let s = cell.sides();
        Place {
            lon: ((s.west + s.east) / 2.0).clamp(-LON_MAX, LON_MAX),
            lat: ((s.south + s.north) / 2.0).clamp(-LAT_MAX, LAT_MAX),
        }
    }

    /// The usual geohash text: 11 characters. It has 55 bits and we have 52, so the last one is always '0'.
    pub fn text(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        // The usual text spans all latitudes.
        let bits = interleave(self, 180.0, 90.0, STEPS);
        std::array::from_fn(|i| match i {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (52 - 5 * (i + 1))) as usize & 31],
        })
    }

    /// Distance in meters along a great circle.
    pub fn distance(self, other: Place) -> f64 {
        let (lon1, lon2) = (radians(self.lon), radians(other.lon));
        let v = ((lon2 - lon1) / 2.0).sin();
        if v == 0.0 {
            return lat_distance(self.lat, other.lat);
        }
        let (lat1, lat2) = (radians(self.lat), radians(other.lat));
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    fn cell(self, steps: u32) -> Cell {
        if !self.is_valid() {
            return Cell { bits: 0, steps: 0 };
        }
        Cell {
            bits: interleave(self, LON_MAX, LAT_MAX, steps),
            steps,
        }
    }
}

fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (PI / 180.0)
}

fn lat_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (radians(b) - radians(a)).abs()
}

impl Cell {
    /// The scores of the places inside: from the first number to the one before the second.
    pub fn scores(self) -> (u64, u64) {
        let shift = 2 * (STEPS - self.steps);
        (self.bits << shift, (self.bits + 1) << shift)
    }

    fn sides(self) -> Sides {
        let scale = (1u64 << self.steps) as f64;
        let at = |i: f64, max: f64| -max + (i / scale) * (2.0 * max);
        let (lat, lon) = (
            f64::from(gather(self.bits)),
            f64::from(gather(self.bits >> 1)),
        );
        Sides {
            west: at(lon, LON_MAX),
            south: at(lat, LAT_MAX),
            east: at(lon + 1.0, LON_MAX),
            north: at(lat + 1.0, LAT_MAX),
        }
    }

    /// The cell next to it, around the edges of the map: `by` is -1, 0 or 1. `moved` and `other` are the bits of the
    /// coordinate to move and of the other one.
    fn shifted(self, by: i32, moved: u64, other: u64) -> Cell {
        let used = u64::MAX >> (64 - 2 * self.steps).min(63);
        let carry = other & used;
        let part = self.bits & moved;
        let part = match by {
            0 => return self,
            1 => part.wrapping_add(carry + 1),
            _ => (part | carry).wrapping_sub(carry + 1),
        };
        Cell {
            bits: part & moved & used | self.bits & other,
            ..self
        }
    }

    fn neighbour(self, east: i32, north: i32) -> Cell {
        self.shifted(east, ODD, EVEN).shifted(north, EVEN, ODD)
    }
}

/// What a search looks for around a place; meters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extent {
    /// Everything within a distance.
    Radius(f64),
    /// Everything in a box of this width and height with the place in its middle.
    Box(f64, f64),
}

/// An area to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Its middle.
    pub center: Place,
    /// Its size.
    pub extent: Extent,
}

impl Shape {
    /// The distance of `place` from the middle, if it is inside.
    pub fn distance_if_inside(&self, place: Place) -> Option<f64> {
        match self.extent {
            Extent::Radius(radius) => Some(self.center.distance(place)).filter(|d| *d <= radius),
            Extent::Box(width, height) => {
                if lat_distance(place.lat, self.center.lat) > height / 2.0 {
                    return None;
                }
                let across = place.distance(Place {
                    lat: place.lat,
                    ..self.center
                });
                (across <= width / 2.0).then(|| self.center.distance(place))
            }
        }
    }

    fn bounds(&self) -> Sides {
        let (width, height) = match self.extent {
            Extent::Radius(r) => (r, r),
            Extent::Box(w, h) => (w / 2.0, h / 2.0),
        };
        let Place { lon, lat } = self.center;
        let lat_delta = degrees(height / EARTH_RADIUS);
        // The box is widest, in degrees, at the side nearer to the pole.
        let outer = if lat < 0.0 {
            lat - lat_delta
        } else {
            lat + lat_delta
        };
        let lon_delta = degrees(width / EARTH_RADIUS / radians(outer).cos());
        Sides {
            west: lon - lon_delta,
            south: lat - lat_delta,
            east: lon + lon_delta,
            north: lat + lat_delta,
        }
    }

    /// Bits of each coordinate of cells so large that nine of them cover the shape.
    fn steps(&self) -> u32 {
        let mut range = match self.extent {
            Extent::Radius(r) => r,
            Extent::Box(w, h) => ((w / 2.0) * (w / 2.0) + (h / 2.0) * (h / 2.0)).sqrt(),
        };
        if range == 0.0 {
            return STEPS;
        }
        let mut steps = 1i32;
        while range < MERCATOR_MAX {
            range *= 2.0;
            steps += 1;
        }
        // Two less, so that it is covered in most cases; cells are narrower towards the poles.
        steps -= 2;
        let lat = self.center.lat.abs();
        steps -= i32::from(lat > 66.0) + i32::from(lat > 80.0);
        steps.clamp(1, STEPS as i32) as u32
    }

    /// The cells to look into, in the order upstream looks into them; some may be the same on a coarse grid.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let bounds = self.bounds();
        let mut steps = self.steps();
        let mut center = self.center.cell(steps);
        let falls_short = center.neighbour(0, 1).sides().north < bounds.north
            || center.neighbour(0, -1).sides().south > bounds.south
            || center.neighbour(1, 0).sides().east < bounds.east
            || center.neighbour(-1, 0).sides().west > bounds.west;
        if steps > 1 && falls_short {
            steps -= 1;
            center = self.center.cell(steps);
        }
        let area = center.sides();
        // On a finer grid, neighbours on a side that the middle cell covers are left out.
        let wanted = move |east: i32, north: i32| {
            steps < 2
                || !(north < 0 && area.south < bounds.south
                    || north > 0 && area.north > bounds.north
                    || east < 0 && area.west < bounds.west
                    || east > 0 && area.east > bounds.east)
        };
        [
            (0, 0),
            (0, 1),
            (0, -1),
            (1, 0),
            (-1, 0),
            (1, 1),
            (-1, 1),
            (1, -1),
            (-1, -1),
        ]
        .into_iter()
        .filter(move |(east, north)| wanted(*east, *north))
        .map(move |(east, north)| center.neighbour(east, north))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::rng::Rng;

    fn somewhere(rng: &mut Rng) -> Place {
        let unit = |rng: &mut Rng| rng.below(1 << 30) as f64 / (1 << 29) as f64 - 1.0;
        Place {
            lon: unit(rng) * LON_MAX,
            lat: unit(rng) * LAT_MAX,
        }
    }

    // From the documentation of GEOADD, GEOHASH, GEODIST and GEOPOS.
    #[test]
    fn palermo_and_catania() {
        let (palermo, catania) = (
            Place {
                lon: 13.361389,
                lat: 38.115556,
            },
            Place {
                lon: 15.087269,
                lat: 37.502669,
            },
        );
        assert_eq!(palermo.encode(), 3_479_099_956_230_698);
        assert_eq!(catania.encode(), 3_479_447_370_796_909);
        let (p, c) = (
            Place::decode(palermo.encode() as f64),
            Place::decode(catania.encode() as f64),
        );
        assert_eq!(&p.text(), b"sqc8b49rny0");
        assert_eq!(&c.text(), b"sqdtr74hyu0");
        assert_eq!(format!("{:.4}", p.distance(c)), "166274.1516");
        assert_eq!(format!("{:.17}", p.lon), "13.36138933897018433");
        assert_eq!(format!("{:.17}", p.lat), "38.11555639549629859");
    }

    #[test]
    fn decoding_is_near_and_cells_hold_their_places() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let place = somewhere(&mut rng);
            let back = Place::decode(place.encode() as f64);
            assert!((back.lon - place.lon).abs() < 6e-6 && (back.lat - place.lat).abs() < 3e-6);
            assert_eq!(gather(spread(place.encode() as u32)), place.encode() as u32);
            let cell = place.cell(1 + rng.below(26) as u32);
            let (first, end) = cell.scores();
            assert!((first..end).contains(&place.encode()));
            let back = cell.neighbour(1, 0).neighbour(0, 1).neighbour(-1, -1);
            assert_eq!(back, cell);
        }
        Place::decode(f64::INFINITY);
        Place::decode(-5.0);
    }

    #[test]
    fn cells_cover_a_shape() {
        let mut rng = Rng::new(2);
        let mut found = 0;
        for _ in 0..3000 {
            let mut center = somewhere(&mut rng);
            // Around the poles and the date line upstream misses places, and so do we.
            center.lat *= 0.7;
            center.lon *= 0.8;
            let size = [100.0, 5000.0, 300_000.0][rng.below(3)];
            let shape = Shape {
                center,
                extent: match rng.below(2) {
                    0 => Extent::Radius(size),
                    _ => Extent::Box(size * 2.0, size),
                },
            };
            let off = size / 100_000.0;
            let mut near = somewhere(&mut rng);
            near.lon = center.lon + near.lon / LON_MAX * off;
            near.lat = center.lat + near.lat / LAT_MAX * off;
            let score = near.encode();
            let stored = Place::decode(score as f64);
            if shape.distance_if_inside(stored).is_some() {
                found += 1;
                assert!(shape.cells().any(|c| {
                    let (first, end) = c.scores();
                    (first..end).contains(&score)
                }));
            }
        }
        assert!(found > 1000);
    }
}
