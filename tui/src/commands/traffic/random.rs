//! The few distributions that traffic needs, on top of a uniform source. Pure.

use rand::Rng;

/// A rank below `count`, the low ones more often: rank k with a share near (k + 1)^-`skew`, as
/// Zipf's law has it. Drawn by inverting the continuous power law on 1..count + 1, which needs no
/// table however many ranks there are.
pub(super) fn skewed(rng: &mut impl Rng, count: u32, skew: f64) -> u32 {
    let uniform: f64 = rng.random();
    let end = f64::from(count) + 1.0;
    let power = 1.0 - skew;
    let position = if power.abs() < 1e-9 {
        end.powf(uniform)
    } else {
        (1.0 + uniform * (end.powf(power) - 1.0)).powf(power.recip())
    };
    (position as u32).clamp(1, count) - 1
}

/// A positive number around `median`, with the long tail of response times; `spread` is the
/// standard deviation of its logarithm.
pub(super) fn log_normal(rng: &mut impl Rng, median: f64, spread: f64) -> f64 {
    // Box-Muller: one of the two normal numbers that two uniform ones make.
    let radius = (-2.0 * rng.random::<f64>().max(f64::MIN_POSITIVE).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * rng.random::<f64>()).cos();
    median * (spread * normal).exp()
}

/// One of `choices`, by weight; the weights' sum is above zero.
pub(super) fn of<T: Copy>(rng: &mut impl Rng, choices: &[(u32, T)]) -> T {
    let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut left = rng.random_range(0..total);
    for (weight, choice) in choices {
        if left < *weight {
            return *choice;
        }
        left -= weight;
    }
    unreachable!("the draw is below the sum of the weights")
}
