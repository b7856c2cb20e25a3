//! Which buckets a range is cut in.

use super::MINUTE;

/// Most buckets of one answer.
pub const POINTS_MAX: u64 = 10_000;
/// Most buckets where the step was left to us.
const POINTS_CHOSEN: u64 = 1_000;
/// Steps people read easily, in seconds: from one to the next by a factor of at most 3, so that 300
/// to 1,000 points are always possible.
const NICE: [u32; 21] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
    172_800, 518_400, 1_555_200, 4_665_600,
];
/// Times are held within the years 1 to 9999, Unix seconds.
const YEARS: (i64, i64) = (-62_135_596_800, 253_402_300_800);

/// Why a range cannot be cut as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// `from` is not before `to`.
    #[error("`from` must be before `to`")]
    Empty,
    /// Steps over a minute are whole minutes.
    #[error("a step of {step_secs} s does not fit: below 60 s any, above it whole minutes")]
    BadStep {
        /// As asked for.
        step_secs: u32,
    },
    /// Seconds are kept for two hours.
    #[error("steps under 60 s reach back to {oldest_ms} (Unix ms)")]
    TooFine {
        /// The earliest `from` such a step may have, Unix ms.
        oldest_ms: i64,
    },
    /// More than 10,000 points.
    #[error("that would be {points} points; the smallest allowed step is {step_secs}s")]
    TooManyPoints {
        /// What was asked for.
        points: u64,
        /// The smallest step that is allowed for this range, in seconds.
        step_secs: u32,
    },
}

/// Buckets of one length, aligned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Length of a bucket, in seconds.
    pub step_secs: u32,
    /// The first bucket's first tick.
    pub from: i64,
    /// The tick after the last bucket.
    pub to: i64,
}

impl Plan {
    /// Cuts `from_ms..to_ms`, widened to whole buckets. `oldest_tick` is the first that is kept as
    /// seconds. Without a step, one that gives 300 to 1,000 points where the range allows it.
    pub fn new(
        from_ms: i64,
        to_ms: i64,
        step_secs: Option<u32>,
        oldest_tick: i64,
    ) -> Result<Self, PlanError> {
        if from_ms >= to_ms {
            return Err(PlanError::Empty);
        }
        let from = from_ms.div_euclid(1_000).clamp(YEARS.0, YEARS.1);
        let to = to_ms.saturating_add(999).div_euclid(1_000).clamp(YEARS.0, YEARS.1).max(from + 1);
        let minute = MINUTE as u32;
        let finest = if from < oldest_tick { minute } else { 1 };
        let Some(step_secs) = step_secs else {
            let fits = |step: &u32| {
                *step >= finest && Self::cut(from, to, *step).points() <= POINTS_CHOSEN
            };
            let coarser = || ((to - from) as u64).div_ceil(900).next_multiple_of(86_400) as u32;
            let step = NICE.into_iter().find(fits).unwrap_or_else(coarser);
            return Ok(Self::cut(from, to, step));
        };
        if step_secs == 0 || (step_secs > minute && step_secs % minute != 0) {
            return Err(PlanError::BadStep { step_secs });
        }
        if step_secs < finest {
            return Err(PlanError::TooFine { oldest_ms: oldest_tick * 1_000 });
        }
        let plan = Self::cut(from, to, step_secs);
        let points = plan.points();
        if points > POINTS_MAX {
            return Err(PlanError::TooManyPoints { points, step_secs: smallest(from, to, finest) });
        }
        Ok(plan)
    }

    fn cut(from: i64, to: i64, step_secs: u32) -> Self {
        let step = i64::from(step_secs);
        Self { step_secs, from: from.div_euclid(step) * step, to: -(-to).div_euclid(step) * step }
    }

    /// How many buckets.
    pub fn points(&self) -> u64 {
        ((self.to - self.from) / i64::from(self.step_secs)) as u64
    }

    /// The first tick of the bucket a tick is in.
    pub fn bucket_of(&self, tick: i64) -> i64 {
        tick.div_euclid(i64::from(self.step_secs)) * i64::from(self.step_secs)
    }
}

/// The smallest step that cuts `from..to` in at most 10,000.
fn smallest(from: i64, to: i64, finest: u32) -> u32 {
    let minute = MINUTE as u32;
    let mut step = (((to - from) / POINTS_MAX as i64) as u32).max(finest);
    loop {
        if step > minute {
            step = step.div_ceil(minute) * minute;
        }
        if Plan::cut(from, to, step).points() <= POINTS_MAX {
            return step;
        }
        step += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_763_884_800;

    proptest! {
        #[test]
        fn a_range_without_a_step_gets_300_to_1000_points_that_cover_it(
            ago in 1_000..7_000i64, secs in 300..1_000_000_000i64,
        ) {
            let from = (NOW - ago) * 1_000;
            let plan = Plan::new(from, from + secs * 1_000, None, NOW - 7_200).unwrap();
            prop_assert!((300..=1_000).contains(&plan.points()), "{plan:?}");
            prop_assert!(plan.from * 1_000 <= from && from + secs * 1_000 <= plan.to * 1_000);
            prop_assert_eq!(plan.from % i64::from(plan.step_secs), 0);
        }

        #[test]
        fn the_step_it_names_is_the_smallest_that_works(
            from in NOW - 20_000..NOW, secs in 1..100_000_000i64, step in 1..60u32,
        ) {
            let ask = |step| Plan::new(from * 1_000, (from + secs) * 1_000, Some(step), NOW - 7_200);
            if let Err(PlanError::TooManyPoints { step_secs, .. }) = ask(step) {
                prop_assert!(ask(step_secs).is_ok());
                let before = if step_secs > 60 { step_secs - 60 } else { step_secs - 1 };
                prop_assert!(step_secs == 1 || ask(before).is_err());
            }
        }
    }

    #[test]
    fn steps_that_do_not_fit_are_refused_with_what_would() {
        let ask = |from: i64, step| Plan::new(from * 1_000, NOW * 1_000, Some(step), NOW - 7_200);
        assert_eq!(ask(NOW - 60, 0), Err(PlanError::BadStep { step_secs: 0 }));
        assert_eq!(ask(NOW - 60, 90), Err(PlanError::BadStep { step_secs: 90 }));
        assert_eq!(ask(NOW, 60), Err(PlanError::Empty));
        let oldest_ms = (NOW - 7_200) * 1_000;
        assert_eq!(ask(NOW - 7_201, 10), Err(PlanError::TooFine { oldest_ms }));
        let refused = PlanError::TooManyPoints { points: 14_400, step_secs: 120 };
        assert_eq!(ask(NOW - 10 * 86_400, 60), Err(refused));
    }

    #[test]
    fn a_range_is_widened_to_whole_buckets() {
        let plan = Plan::new(1_000_500, 1_121_001, Some(60), 0).unwrap();
        assert_eq!((plan.from, plan.to, plan.points()), (960, 1_140, 3));
        let extremes = Plan::new(i64::MIN, i64::MAX, None, 0).unwrap();
        assert!((300..=1_000).contains(&extremes.points()), "{extremes:?}");
    }
}
