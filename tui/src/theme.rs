//! What each colour means, and how it looks in each theme and on each kind of terminal. A meaning
//! never stands by colour alone: with [`Depth::None`] weight and words carry it.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::ThemeName;

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Plain text.
    Text,
    /// Events, selection, live.
    Accent,
    /// People.
    Users,
    /// 2xx, healthy.
    Ok,
    /// 4xx, lag, error rate from 1 %.
    Warn,
    /// 5xx, errors, error rate from 5 %.
    Bad,
    /// p95.
    Latency,
    /// Axes, units, labels.
    Muted,
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24 bit.
    True,
    /// The xterm palette.
    Indexed,
    /// The terminal's own 16.
    Sixteen,
    /// One, or `NO_COLOR` is set.
    None,
}

/// A theme on a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    name: ThemeName,
    depth: Depth,
}

/// 24-bit values of a theme, in the order of [`Meaning`], and its background.
struct Palette {
    colours: [u32; 8],
    background: u32,
}

const DARK: Palette = Palette {
    colours: [
        0xE4_E7_EC, 0x4C_9B_E8, 0xB9_8C_F0, 0x2F_B6_7C, 0xE6_A2_3C, 0xF0_65_4D, 0x39_C0_C8,
        0x92_96_9D,
    ],
    background: 0x14_17_1C,
};
const LIGHT: Palette = Palette {
    colours: [
        0x14_17_1C, 0x1D_6F_BF, 0x7A_4C_C2, 0x15_80_3D, 0xB4_53_09, 0xC2_32_1C, 0x0E_7C_86,
        0x6B_6F_76,
    ],
    background: 0xFF_FF_FF,
};
const CONTRAST: Palette = Palette {
    colours: [
        0xFF_FF_FF, 0x6C_B8_FF, 0xD8_B4_FF, 0x4A_E0_9C, 0xFF_C0_4D, 0xFF_8A_75, 0x5C_E6_EE,
        0xC8_CC_D2,
    ],
    background: 0x00_00_00,
};
/// The terminal's own 16, by meaning.
const SIXTEEN: [Color; 8] = [
    Color::Reset,
    Color::Blue,
    Color::Magenta,
    Color::Green,
    Color::Yellow,
    Color::Red,
    Color::Cyan,
    Color::DarkGray,
];

impl Theme {
    /// A theme on a terminal with so many colours.
    pub fn new(name: ThemeName, depth: Depth) -> Self {
        Self { name, depth }
    }

    /// The style of a meaning.
    pub fn style(self, meaning: Meaning) -> Style {
        if self.depth == Depth::None {
            return match meaning {
                Meaning::Warn | Meaning::Bad => Style::new().add_modifier(Modifier::BOLD),
                Meaning::Muted => Style::new().add_modifier(Modifier::DIM),
                _ => Style::new(),
            };
        }
        Style::new().fg(self.colour(meaning))
    }

    /// The same, bold: a value rather than its surroundings.
    pub fn strong(self, meaning: Meaning) -> Style {
        self.style(meaning).remove_modifier(Modifier::DIM).add_modifier(Modifier::BOLD)
    }

    /// The body of a chart below its crest: the same colour, fainter where the terminal can.
    pub fn faint(self, meaning: Meaning) -> Style {
        let (Some(palette), Depth::True | Depth::Indexed) = (self.palette(), self.depth) else {
            return self.style(meaning);
        };
        let blended = blend(palette.colours[meaning as usize], palette.background, 0.55);
        Style::new().fg(self.fit(blended))
    }

    /// What the whole screen stands on.
    pub fn ground(self) -> Style {
        match (self.depth, self.palette()) {
            (Depth::None, _) | (_, None) => Style::new(),
            (_, Some(palette)) => {
                Style::new().fg(self.colour(Meaning::Text)).bg(self.fit(palette.background))
            }
        }
    }

    /// A chosen thing: its foreground and background exchanged.
    pub fn chosen(self, meaning: Meaning) -> Style {
        self.strong(meaning).add_modifier(Modifier::REVERSED)
    }

    /// A picture that is no longer true.
    pub fn old(self) -> Style {
        let style = self.style(Meaning::Muted).remove_modifier(Modifier::BOLD);
        if matches!(self.depth, Depth::None | Depth::Sixteen) {
            style.add_modifier(Modifier::DIM)
        } else {
            style
        }
    }

    fn colour(self, meaning: Meaning) -> Color {
        match self.palette() {
            Some(palette) if self.depth != Depth::Sixteen => {
                self.fit(palette.colours[meaning as usize])
            }
            Some(_) => match (self.name, meaning) {
                (ThemeName::Light, Meaning::Text) => Color::Black,
                (_, Meaning::Text) => Color::White,
                (ThemeName::Contrast, Meaning::Muted) => Color::Gray,
                (ThemeName::Contrast, _) => bright(SIXTEEN[meaning as usize]),
                _ => SIXTEEN[meaning as usize],
            },
            None => SIXTEEN[meaning as usize],
        }
    }

    fn palette(self) -> Option<&'static Palette> {
        match self.name {
            ThemeName::Dark => Some(&DARK),
            ThemeName::Light => Some(&LIGHT),
            ThemeName::Contrast => Some(&CONTRAST),
            ThemeName::Terminal => None,
        }
    }

    /// The nearest colour the terminal has.
    fn fit(self, rgb: u32) -> Color {
        let [_, red, green, blue] = rgb.to_be_bytes();
        match self.depth {
            Depth::True => Color::Rgb(red, green, blue),
            Depth::Indexed => Color::Indexed(nearest_indexed(red, green, blue)),
            Depth::Sixteen if rgb == LIGHT.background => Color::White,
            Depth::Sixteen => Color::Black,
            Depth::None => Color::Reset,
        }
    }
}

fn bright(colour: Color) -> Color {
    match colour {
        Color::Blue => Color::LightBlue,
        Color::Magenta => Color::LightMagenta,
        Color::Green => Color::LightGreen,
        Color::Yellow => Color::LightYellow,
        Color::Red => Color::LightRed,
        Color::Cyan => Color::LightCyan,
        other => other,
    }
}

/// `share` of one colour over another.
fn blend(colour: u32, ground: u32, share: f64) -> u32 {
    let mixed = |shift: u32| {
        let (top, under) = ((colour >> shift) & 0xff, (ground >> shift) & 0xff);
        ((f64::from(top) * share + f64::from(under) * (1.0 - share)).round() as u32) << shift
    };
    mixed(16) | mixed(8) | mixed(0)
}

/// The nearest of the xterm palette's 6x6x6 cube and its greys.
fn nearest_indexed(red: u8, green: u8, blue: u8) -> u8 {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let wanted = [red, green, blue].map(i32::from);
    let distance =
        |found: [i32; 3]| -> i32 { wanted.iter().zip(found).map(|(a, b)| (a - b) * (a - b)).sum() };
    let steps = wanted
        .map(|part| (0..6).min_by_key(|step| (LEVELS[*step] - part).abs()).unwrap_or_default());
    let cube =
        (16 + 36 * steps[0] + 6 * steps[1] + steps[2], distance(steps.map(|step| LEVELS[step])));
    let grey = (0..24usize)
        .map(|step| (232 + step, distance([8 + 10 * step as i32; 3])))
        .min_by_key(|(_, distance)| *distance)
        .unwrap_or(cube);
    if grey.1 < cube.1 { grey.0 as u8 } else { cube.0 as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as WCAG 2.2 defines them.
    fn contrast(one: u32, other: u32) -> f64 {
        let luminance = |rgb: u32| {
            let part = |shift: u32| {
                let value = f64::from((rgb >> shift) & 0xff) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_of_every_meaning_can_be_read_in_every_theme() {
        for (palette, least) in [(&DARK, 4.5), (&LIGHT, 4.5), (&CONTRAST, 7.0)] {
            for colour in palette.colours {
                let found = contrast(colour, palette.background);
                assert!(found >= least, "#{colour:06X}: {found:.2}");
            }
        }
    }

    #[test]
    fn the_palette_of_256_comes_close() {
        assert_eq!(nearest_indexed(255, 255, 255), 231);
        assert_eq!(nearest_indexed(0, 0, 0), 16);
        assert_eq!(nearest_indexed(0x14, 0x17, 0x1C), 234);
        assert_eq!(nearest_indexed(0x5f, 0x87, 0xff), 69);
    }

    #[test]
    fn without_colours_warnings_are_bold_and_nothing_is_coloured() {
        let theme = Theme::new(ThemeName::Dark, Depth::None);
        for meaning in [Meaning::Text, Meaning::Accent, Meaning::Bad, Meaning::Muted] {
            let style = theme.style(meaning);
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert!(theme.style(Meaning::Bad).add_modifier.contains(Modifier::BOLD));
        assert_eq!(theme.ground(), Style::new());
    }
}
