//! A graph in plain characters: a column per value, labels below it from top to bottom.
//!
//! Each row of the graph has three heights (`_`, `o`, `#`); below its top a column is filled with `|`. The scale runs from the
//! smallest to the greatest value. Long sequences are broken into graphs of at most `width` columns.

/// Heights within one row, lowest first.
const HEIGHTS: &[u8] = b"_o#";

/// A value with what stands below it.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its height.
    pub value: u64,
    /// Written downwards below it.
    pub label: String,
}

/// Draws the columns in `rows` rows.
pub fn draw(columns: &[Column], rows: usize, width: usize) -> String {
    let min = columns.iter().map(|c| c.value).min().unwrap_or(0);
    let max = columns.iter().map(|c| c.value).max().unwrap_or(0);
    let mut text = String::new();
    for part in columns.chunks(width.max(1)) {
        for row in (0..rows).rev() {
            let line = part
                .iter()
                .map(|c| cell(height(c.value, min, max, rows), row));
            text.extend(line.chain(['\n']));
        }
        labels(part, &mut text);
    }
    text
}

/// The height of a value in steps, `rows * HEIGHTS` at most.
fn height(value: u64, min: u64, max: u64, rows: usize) -> usize {
    let steps = rows * HEIGHTS.len();
    let span = u128::from(max - min).max(1);
    let height = u128::from(value - min) * steps as u128 / span;
    (height as usize).min(steps.saturating_sub(1))
}

/// What a column of that height shows in a row counted from the bottom.
fn cell(height: usize, row: usize) -> char {
    match height.checked_sub(row * HEIGHTS.len()) {
        None => ' ',
        Some(above) => HEIGHTS.get(above).map_or('|', |&b| b as char),
    }
}

/// The labels, after an empty row.
fn labels(part: &[Column], text: &mut String) {
    let deepest = part.iter().map(|c| c.label.len()).max().unwrap_or(0);
    for i in 0..=deepest {
        let at = |c: &Column| match i.checked_sub(1) {
            None => ' ',
            Some(i) => c.label.as_bytes().get(i).map_or(' ', |&b| b as char),
        };
        text.extend(part.iter().map(at).chain(['\n']));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: &[u64], label: &str) -> Vec<Column> {
        let column = |&value| Column {
            value,
            label: label.into(),
        };
        values.iter().map(column).collect()
    }

    #[test]
    fn draws_what_upstream_draws() {
        let drawn = draw(&columns(&[10, 50, 103, 200, 12], "6s"), 4, 80);
        assert_eq!(drawn, "   # \n   | \n  #| \n_#||_\n     \n66666\nsssss\n");
    }

    #[test]
    fn flat_long_and_empty_sequences() {
        assert_eq!(draw(&columns(&[7, 7], ""), 1, 80), "__\n  \n");
        assert_eq!(draw(&[], 4, 80), "");
        let drawn = draw(&columns(&[0, 1, u64::MAX], ""), 1, 2);
        assert_eq!(drawn, "__\n  \n#\n \n");
    }
}
