//! A story for demonstrations, told by elapsed time alone: a day that passes in eight minutes,
//! bursts, and every three minutes a spell in which one route fails and slows down.
//!
//! Pure functions; the pace of `load --story` and the events of the generator follow them.

const DAY_MS: u64 = 8 * 60_000;
const BURST_EVERY_MS: u64 = 75_000;
const BURST_MS: u64 = 9_000;
const SPELL_EVERY_MS: u64 = 3 * 60_000;
const SPELL_MS: u64 = 40_000;
/// The first spell begins this long after the start, so that a short demo shows one.
const SPELL_AFTER_MS: u64 = 45_000;
const SPELL_ROUTES: [&str; 3] = ["/checkout", "/search", "/api/cart"];

/// A route that is in trouble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spell {
    /// Its path.
    pub route: &'static str,
    /// The share of its events that are errors.
    pub error_rate: f64,
    /// How many times longer it takes than usual.
    pub slower: f64,
}

impl Spell {
    /// Whether `path` is the route in trouble.
    pub fn hits(&self, path: &str) -> bool {
        self.route == path
    }
}

/// The rate at this moment as a multiple of the mean rate: 0.5 to about 3.
pub fn rate_factor(elapsed_ms: u64) -> f64 {
    let turn =
        |period_ms: u64| (elapsed_ms % period_ms) as f64 / period_ms as f64 * std::f64::consts::TAU;
    // Morning, a dip at noon, evening; then a ripple so that no second is like the one before. It
    // starts in the morning, when traffic rises.
    let hour = turn(DAY_MS) + std::f64::consts::FRAC_PI_3;
    let day = 1.0 - 0.35 * hour.cos() - 0.15 * (2.0 * hour).cos();
    let ripple = 1.0 + 0.06 * turn(7_300).sin() + 0.04 * turn(2_900).sin();
    day * ripple * burst_factor(elapsed_ms)
}

/// The route that is in trouble now, if any.
pub fn spell(elapsed_ms: u64) -> Option<Spell> {
    let since_first = elapsed_ms.checked_sub(SPELL_AFTER_MS)?;
    if since_first % SPELL_EVERY_MS >= SPELL_MS {
        return None;
    }
    let route = SPELL_ROUTES[(since_first / SPELL_EVERY_MS) as usize % SPELL_ROUTES.len()];
    Some(Spell { route, error_rate: 0.4, slower: 5.0 })
}

/// Up and down within [`BURST_MS`], once every [`BURST_EVERY_MS`].
fn burst_factor(elapsed_ms: u64) -> f64 {
    let within = elapsed_ms % BURST_EVERY_MS;
    let Some(into) = within.checked_sub(BURST_EVERY_MS - BURST_MS) else { return 1.0 };
    1.0 + 1.4 * (into as f64 / BURST_MS as f64 * std::f64::consts::PI).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_comes_within_a_minute_and_moves_from_route_to_route() {
        assert_eq!(spell(44_999), None);
        assert!(spell(45_000).unwrap().hits("/checkout"));
        assert_eq!(spell(85_000), None);
        assert!(spell(45_000 + SPELL_EVERY_MS).unwrap().hits("/search"));
    }

    #[test]
    fn the_rate_has_its_mean_over_a_day_and_stands_out_in_a_burst() {
        let of = |ms: std::ops::Range<u64>| {
            let factors: Vec<f64> = ms.step_by(100).map(rate_factor).collect();
            let mean = factors.iter().sum::<f64>() / factors.len() as f64;
            (mean, factors.into_iter().fold(f64::MAX, f64::min))
        };
        let (mean, least) = of(0..40 * 60_000);
        assert!((0.95..1.2).contains(&mean) && least > 0.4, "{mean} {least}");
        assert!(rate_factor(BURST_EVERY_MS - BURST_MS / 2) > 1.8 * rate_factor(BURST_EVERY_MS));
    }
}
