//! A chart's vertical scale: steps of 1, 2 or 5 times a power of ten, with hysteresis so that a
//! value near a step does not make the axis twitch. Pure.

/// Updates for which a smaller scale must do before it is taken.
const PATIENCE: u32 = 10;

/// From zero to `top` in equal steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The value at the upper edge.
    pub top: f64,
    /// The distance between two labels.
    pub step: f64,
    floor: f64,
    smaller_for: u32,
}

impl Scale {
    /// A scale whose top never falls below `floor`.
    pub fn new(floor: f64) -> Self {
        let (top, step) = fit(floor);
        Self { top, step, floor, smaller_for: 0 }
    }

    /// Looks at the largest value to be drawn: grows at once, shrinks only when a smaller scale
    /// has held it with room to spare for a while.
    pub fn follow(&mut self, largest: f64) {
        let wanted = largest.max(self.floor);
        if wanted > self.top {
            (self.top, self.step) = fit(wanted);
            self.smaller_for = 0;
            return;
        }
        let (top, step) = fit((wanted * 1.1).max(self.floor));
        if top >= self.top {
            self.smaller_for = 0;
            return;
        }
        self.smaller_for += 1;
        if self.smaller_for >= PATIENCE {
            (self.top, self.step) = (top, step);
            self.smaller_for = 0;
        }
    }

    /// Takes the scale that fits best, whatever was before.
    pub fn reset(&mut self, largest: f64) {
        *self = Self { smaller_for: 0, ..*self };
        (self.top, self.step) = fit(largest.max(self.floor));
    }
}

/// The smallest whole number of steps of 1, 2 or 5 that holds `largest`, in at most four steps.
fn fit(largest: f64) -> (f64, f64) {
    let largest = if largest.is_finite() && largest > 0.0 { largest.min(1e15) } else { 1.0 };
    let mut power = 10f64.powf((largest / 4.0).log10().floor());
    loop {
        for unit in [1.0, 2.0, 5.0] {
            let step = unit * power;
            let steps = (largest / step - 1e-9).ceil().max(1.0);
            if steps <= 4.0 {
                return (steps * step, step);
            }
        }
        power *= 10.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_one_two_or_five() {
        for (largest, top, step) in [
            (1_284.0, 1_500.0, 500.0),
            (342.0, 400.0, 100.0),
            (84.0, 100.0, 50.0),
            (1.0, 1.0, 0.5),
            (4.0, 4.0, 1.0),
            (4.1, 6.0, 2.0),
            (0.008, 0.008, 0.002),
        ] {
            let (found_top, found_step) = fit(largest);
            assert!((found_top - top).abs() < 1e-9 * top, "{largest}: top {found_top}");
            assert!((found_step - step).abs() < 1e-9 * step, "{largest}: step {found_step}");
        }
    }

    #[test]
    fn it_grows_at_once_and_shrinks_with_patience() {
        let mut scale = Scale::new(1.0);
        scale.follow(90.0);
        assert_eq!(scale.top, 100.0);
        scale.follow(101.0);
        assert_eq!(scale.top, 150.0);
        for _ in 0..PATIENCE - 1 {
            scale.follow(60.0);
            assert_eq!(scale.top, 150.0);
        }
        scale.follow(60.0);
        assert_eq!(scale.top, 80.0);
    }

    #[test]
    fn a_value_that_hovers_at_a_step_does_not_make_it_twitch() {
        let mut scale = Scale::new(1.0);
        scale.follow(101.0);
        let top = scale.top;
        for turn in 0..100 {
            scale.follow(if turn % 2 == 0 { 99.0 } else { 101.0 });
            assert_eq!(scale.top, top);
        }
    }

    #[test]
    fn nonsense_gives_the_floor() {
        let mut scale = Scale::new(10.0);
        for value in [f64::NAN, -3.0, 0.0] {
            scale.follow(value);
            assert_eq!(scale.top, 10.0);
        }
        scale.follow(f64::INFINITY);
        assert!(scale.top.is_finite());
    }
}
