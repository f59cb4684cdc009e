//! LOLWUT: a picture for whoever asks, and the version.
//!
//! Ours: two oscillations of random frequencies draw a closed curve on a canvas of braille dots, another one each time. It takes
//! upstream's VERSION option (all versions draw the same kind of picture) and optionally the width and height in characters;
//! as upstream, versions 5 and 6 insist on numbers and the others overlook what is none.

use crate::ds::rng::Rng;
use crate::exec::command::{Command, Group, flags};
use crate::exec::{Ctx, Flow, Outcome};

/// Every command of this family.
pub static COMMANDS: &[&Command] = &[&LOLWUT];

/// The row of LOLWUT.
pub static LOLWUT: Command = Command {
    name: "lolwut",
    handler: lolwut,
    arity: -1,
    flags: flags("readonly fast"),
    group: Group::Server,
    since: "5.0.0",
    summary: "Paints a picture and tells the version.",
    args: "[VERSION version:int]",
    ..Command::DEFAULT
};

/// Bounds of width and height, characters.
const WIDTH: (i64, i64) = (1, 1000);
const HEIGHT: (i64, i64) = (1, 200);

fn lolwut(ctx: &mut Ctx<'_>) -> Outcome {
    let mut i = 1;
    let mut strict = false;
    if ctx.args.len() > 2 && ctx.is(1, "version") {
        strict = matches!(ctx.int(2)?, 5 | 6);
        i = 3;
    }
    let mut size = [60, 20];
    for (side, (low, high)) in size.iter_mut().zip([WIDTH, HEIGHT]) {
        if i < ctx.args.len() {
            match ctx.int(i) {
                Ok(n) => *side = n.clamp(low, high),
                Err(e) if strict => return Err(e),
                Err(_) => {}
            }
            i += 1;
        }
    }
    let mut canvas = Canvas::new(size[0] as usize, size[1] as usize);
    canvas.curve(&mut ctx.server.ks.rng);
    let version = ctx.server.config.redis_compat_version.to_str_lossy();
    let text = format!(
        "{}\nTwo waves that met by chance. Redis ver. {version}\n",
        canvas.text()
    );
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// Dots, two by four to a character.
struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Canvas {
            width,
            height,
            cells: vec![0; width * height],
        }
    }

    /// Sets the dot at a place of the unit square.
    fn dot(&mut self, x: f64, y: f64) {
        // Braille's bits go down the left column, then the right, with the last row added later.
        const BITS: [[u8; 2]; 4] = [[0, 3], [1, 4], [2, 5], [6, 7]];
        let at = |v: f64, dots: usize| ((v * dots as f64) as usize).min(dots - 1);
        let (x, y) = (at(x, self.width * 2), at(y, self.height * 4));
        self.cells[y / 4 * self.width + x / 2] |= 1 << BITS[y % 4][x % 2];
    }

    /// A closed curve of two oscillations.
    fn curve(&mut self, rng: &mut Rng) {
        let (a, b) = (1 + rng.below(7), 1 + rng.below(7));
        let phase = rng.below(628) as f64 / 100.0;
        let steps = (self.width + self.height) * 64;
        for i in 0..steps {
            let t = i as f64 / steps as f64 * std::f64::consts::TAU;
            let wave = |speed: usize, shift: f64| (1.0 + (speed as f64 * t + shift).sin()) / 2.0;
            self.dot(wave(a, phase), wave(b, 0.0));
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for row in self.cells.chunks(self.width) {
            let braille = |&cell: &u8| char::from_u32(0x2800 + u32::from(cell)).unwrap_or(' ');
            text.extend(row.iter().map(braille).chain(['\n']));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_are_dots_of_the_corner_characters() {
        let mut c = Canvas::new(2, 2);
        c.dot(0.0, 0.0);
        c.dot(1.0, 1.0);
        assert_eq!(c.text(), "\u{2801}\u{2800}\n\u{2800}\u{2880}\n");
    }

    #[test]
    fn any_size_can_be_drawn() {
        let mut rng = Rng::new(1);
        for (w, h) in [(1, 1), (60, 20), (1000, 1), (3, 200)] {
            let mut c = Canvas::new(w, h);
            c.curve(&mut rng);
            assert_eq!(c.text().chars().count(), (w + 1) * h);
        }
    }
}
