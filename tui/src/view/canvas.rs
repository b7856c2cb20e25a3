//! A filled area in braille dots or eighths of a cell. Pure: values in, characters out; it knows
//! neither colours nor where on the screen it stands.

use crate::cli::Charts;

/// One cell of the area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// What to draw; a space where the area does not reach.
    pub(super) character: char,
    /// Whether the area's edge runs through it.
    pub(super) crest: bool,
}

/// Values a cell is wide.
pub(super) fn values_a_cell(charts: Charts) -> usize {
    match charts {
        Charts::Braille => 2,
        Charts::Block => 1,
    }
}

/// Steps a cell is high.
fn steps_a_cell(charts: Charts) -> usize {
    match charts {
        Charts::Braille => 4,
        Charts::Block => 8,
    }
}

/// Draws shares of the height, 0..1, oldest first: rows from the top, each as wide as the values
/// need. A missing value leaves its column empty; a zero still draws the lowest step, so that
/// "nothing happened" and "nobody knows" look different.
pub(super) fn area(values: &[Option<f64>], rows: usize, charts: Charts) -> Vec<Vec<Cell>> {
    let (wide, high) = (values_a_cell(charts), steps_a_cell(charts));
    let steps = rows * high;
    let heights: Vec<usize> = values
        .iter()
        .map(|value| match value {
            None => 0,
            Some(share) => ((share.clamp(0.0, 1.0) * steps as f64).round() as usize).max(1),
        })
        .collect();
    (0..rows)
        .map(|row| {
            let below = (rows - 1 - row) * high;
            heights
                .chunks(wide)
                .map(|columns| {
                    let filled = |column: usize| {
                        let height = columns.get(column).copied().unwrap_or(0);
                        height.saturating_sub(below).min(high)
                    };
                    let tallest = columns.iter().copied().max().unwrap_or(0);
                    let character = match charts {
                        Charts::Braille => braille(filled(0), filled(1)),
                        Charts::Block => block(filled(0)),
                    };
                    Cell { character, crest: tallest > below && tallest <= below + high }
                })
                .collect()
        })
        .collect()
}

/// A bar of eighths from the left: `width` cells at most, `share` of them full.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    if let Some(part) = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((eighths % 8).wrapping_sub(1))
    {
        text.push(*part);
    }
    text
}

/// A braille character with so many dots filled from below in each of its two columns.
fn braille(left: usize, right: usize) -> char {
    const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
    const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];
    match LEFT[left.min(4)] | RIGHT[right.min(4)] {
        0 => ' ',
        dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
    }
}

fn block(eighths: usize) -> char {
    [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(values: &[Option<f64>], rows: usize, charts: Charts) -> Vec<String> {
        area(values, rows, charts)
            .iter()
            .map(|row| row.iter().map(|cell| cell.character).collect())
            .collect()
    }

    #[test]
    fn a_ramp_rises_dot_by_dot() {
        let ramp: Vec<_> = (0..8).map(|step| Some(f64::from(step) / 7.0)).collect();
        assert_eq!(text(&ramp, 2, Charts::Braille), ["  ⣠⣾", "⣀⣴⣿⣿"]);
        assert_eq!(text(&ramp, 1, Charts::Block), ["▁▁▂▃▅▆▇█"]);
    }

    #[test]
    fn a_gap_is_empty_and_a_zero_is_not() {
        let values = [Some(0.0), Some(0.0), None, None, Some(1.0), None];
        assert_eq!(text(&values, 1, Charts::Braille), ["⣀ ⡇"]);
        assert_eq!(text(&values, 1, Charts::Block), ["▁▁  █ "]);
    }

    #[test]
    fn the_crest_is_where_the_area_ends() {
        let cells = area(&[Some(1.0), Some(0.6)], 2, Charts::Block);
        assert!(cells[0][0].crest && !cells[1][0].crest);
        assert!(cells[0][1].crest && !cells[1][1].crest);
    }

    #[test]
    fn bars_end_in_eighths() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.321, 12), "███▉");
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(7.0, 2), "██");
    }
}
