//! How long something may take: twice what it took before.

use crate::numbers::quantile;

/// From this many samples on the limit is learned.
const NEEDED: usize = 14;

/// How far beyond nearly all that was seen.
const BEYOND: f64 = 2.0;

/// The limit in minutes, or the default where there are too few samples.
pub fn limit_minutes(samples: &[f64], least: f64, default: f64) -> f64 {
    if samples.len() < NEEDED {
        return default;
    }
    quantile(samples, 0.99).map_or(default, |longest| (longest * BEYOND).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_learned_from_two_weeks_on() {
        assert_eq!(limit_minutes(&[5.0; 13], 30.0, 120.0), 120.0);
        assert_eq!(limit_minutes(&[5.0; 14], 30.0, 120.0), 30.0);
        assert_eq!(limit_minutes(&[60.0; 56], 30.0, 90.0), 120.0);
    }
}
