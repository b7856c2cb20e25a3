//! How the connection stands, in the words the title bar needs. Pure.

/// The connection's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// An attempt is under way.
    Connecting {
        /// From 1.
        attempt: u32,
    },
    /// The next attempt comes at a time.
    Waiting {
        /// The one that will come.
        attempt: u32,
        /// When it comes, on the state's clock, ms.
        retry_at_ms: u64,
    },
    /// Connected.
    Live,
    /// Refused for good.
    Denied {
        /// What the daemon said, as a clause.
        reason: String,
        /// Whether another token would help.
        about_token: bool,
    },
}

impl Link {
    /// Whole seconds until the next attempt, rounded up.
    pub fn retry_in_secs(&self, now_ms: u64) -> Option<u64> {
        match self {
            Self::Waiting { retry_at_ms, .. } => {
                Some(retry_at_ms.saturating_sub(now_ms).div_ceil(1_000))
            }
            _ => None,
        }
    }

    /// When [`Link::retry_in_secs`] changes next, ms.
    pub fn next_change_ms(&self, now_ms: u64) -> Option<u64> {
        let Self::Waiting { retry_at_ms, .. } = self else { return None };
        let left_ms = retry_at_ms.saturating_sub(now_ms);
        let seconds = left_ms.div_ceil(1_000);
        (seconds > 0).then(|| retry_at_ms - (seconds - 1) * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_countdown_wakes_once_a_second() {
        let link = Link::Waiting { attempt: 2, retry_at_ms: 5_500 };
        let mut now_ms = 3_000;
        let mut seen = Vec::new();
        while let Some(next) = link.next_change_ms(now_ms) {
            seen.push(link.retry_in_secs(now_ms).unwrap());
            assert!(next > now_ms);
            now_ms = next;
        }
        assert_eq!(seen, [3, 2, 1]);
        assert_eq!(link.retry_in_secs(now_ms), Some(0));
    }
}
