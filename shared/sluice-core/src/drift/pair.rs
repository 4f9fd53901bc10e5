//! Which dropped column a new one probably is: a rename looks like the one and the other.

use super::{Change, ChangeKind};

/// Below this, two names have too little in common to speak of.
const LEAST_LIKENESS: f64 = 0.3;

/// Marks each pair on both of its changes. Columns of one type are paired by the likeness of their names, the likest
/// first; where one of a type has gone and one has come, their names need not be alike.
pub(super) fn mark(changes: &mut [Change]) {
    let indices = |kind: ChangeKind, changes: &[Change]| -> Vec<usize> {
        (0..changes.len()).filter(|&at| changes[at].kind == kind).collect()
    };
    let dropped = indices(ChangeKind::Dropped, changes);
    let new = indices(ChangeKind::New, changes);
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for &gone in &dropped {
        let same_type = |&at: &usize| changes[at].to == changes[gone].from;
        for &come in new.iter().filter(|at| same_type(at)) {
            let is_only = new.iter().filter(|at| same_type(at)).count() == 1
                && dropped.iter().filter(|&&other| changes[other].from == changes[gone].from).count() == 1;
            let alike = likeness(&changes[gone].column, &changes[come].column);
            if is_only || alike >= LEAST_LIKENESS {
                pairs.push((alike, gone, come));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, gone, come) in pairs {
        if changes[gone].likely_pair.is_none() && changes[come].likely_pair.is_none() {
            changes[gone].likely_pair = Some(changes[come].column.clone());
            changes[come].likely_pair = Some(changes[gone].column.clone());
        }
    }
}

/// Dice's coefficient of the names' pairs of neighbouring characters: 1 for the same name, 0 for nothing in common.
fn likeness(a: &str, b: &str) -> f64 {
    let pairs = |name: &str| -> Vec<(char, char)> { name.chars().zip(name.chars().skip(1)).collect() };
    let (a, mut b) = (pairs(a), pairs(b));
    let all = a.len() + b.len();
    let mut shared = 0;
    for pair in a {
        if let Some(at) = b.iter().position(|other| *other == pair) {
            b.swap_remove(at);
            shared += 1;
        }
    }
    if all == 0 { 0.0 } else { f64::from(2 * shared) / all as f64 }
}
