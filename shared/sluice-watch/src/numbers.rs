//! Robust statistics of a few dozen numbers.

/// Makes the median absolute deviation a standard deviation where numbers are normal.
pub const MAD_TO_DEVIATION: f64 = 1.4826;

/// The normal distribution's 95th percentile: nine of ten absolute residuals lie below it.
const NORMAL_P95: f64 = 1.645;

/// The value below which this share of the numbers lies, between neighbours in proportion; `None` without numbers.
pub fn quantile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| number.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64))
}

pub fn median(numbers: &[f64]) -> Option<f64> {
    quantile(numbers, 0.5)
}

/// How far numbers lie from their centre: the larger of two robust scales, so that neither a plateau at the centre nor a
/// single outlier makes it small or large.
pub fn spread(residuals: &[f64]) -> f64 {
    let centre = median(residuals).unwrap_or_default();
    let absolute: Vec<f64> = residuals.iter().map(|residual| (residual - centre).abs()).collect();
    let middle = median(&absolute).unwrap_or_default() * MAD_TO_DEVIATION;
    middle.max(quantile(&absolute, 0.9).unwrap_or_default() / NORMAL_P95)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_between_neighbours() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0, 1.0, 2.0, f64::NAN], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), Some(1.75));
        assert_eq!(quantile(&[1.0, 2.0], 2.0), Some(2.0));
    }

    #[test]
    fn one_outlier_and_a_plateau_leave_the_spread_alone() {
        let mut numbers: Vec<f64> = (0..40).map(f64::from).collect();
        let before = spread(&numbers);
        numbers[39] = 1e9;
        assert!((spread(&numbers) - before).abs() < before / 5.0);
        let plateau: Vec<f64> = (0..40).map(|at| if at < 25 { 0.0 } else { f64::from(at) }).collect();
        assert!(spread(&plateau) > 1.0);
    }
}
