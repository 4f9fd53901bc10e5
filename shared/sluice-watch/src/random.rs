//! Numbers that a seed decides: the same in every process.

/// SplitMix64: small, and good enough for days that nobody bets on.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// One for a name and a number, whatever was drawn before.
    pub fn of(seed: u64, name: &str, number: i64) -> Self {
        let hash = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut random = Random(hash ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below a number.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.share() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// Of the normal distribution, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// A count around a mean that strays as counting alone makes it stray.
    pub fn count(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (limit, mut product, mut count) = ((-mean.max(0.0)).exp(), self.share(), 0);
        while product > limit {
            product *= self.share();
            count += 1;
        }
        count
    }

    /// How many of this many, each with a chance.
    pub fn of_many(&mut self, all: u64, chance: f64) -> u64 {
        let mean = all as f64 * chance;
        let deviation = (mean * (1.0 - chance)).max(0.0).sqrt();
        let drawn = if mean < 20.0 { self.count(mean) as f64 } else { mean + deviation * self.normal() };
        drawn.round().clamp(0.0, all as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_the_spread_of_counting() {
        let mut random = Random::new(7);
        for mean in [3.0, 20.0, 400.0] {
            let counts: Vec<f64> = (0..4_000).map(|_| random.count(mean) as f64).collect();
            let found = counts.iter().sum::<f64>() / 4_000.0;
            let variance = counts.iter().map(|count| (count - found).powi(2)).sum::<f64>() / 4_000.0;
            assert!(
                (found / mean - 1.0).abs() < 0.05 && (variance / mean - 1.0).abs() < 0.1,
                "{mean} {found} {variance}"
            );
        }
    }
}
