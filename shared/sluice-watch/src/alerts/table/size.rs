//! A size with its unit, as a row of the table has it: `50 %`, `12 hours`, `3 tests`.

use sluice_core::{judge::Setting, yaml::Value};

use crate::finding::{Kind, Unit};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Size {
    number: f64,
    unit: String,
}

impl Setting for Size {
    fn read(value: &Value) -> Result<Self, String> {
        let text =
            String::read(value).map_err(|problem| format!("{problem}; write the unit too, as in 50 % or 3 tests"))?;
        let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
        let number = number.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
        let number = number.ok_or_else(|| format!("'{text}' is no size; write a number and its unit, as in 50 %"))?;
        Ok(Size { number, unit: unit.to_owned() })
    }
}

impl Size {
    /// The number in the unit of a kind.
    pub(super) fn of(&self, kind: Kind) -> Result<f64, String> {
        let factor = match (kind.unit(), self.unit.as_str()) {
            (Unit::Percent, "%") | (Unit::Points, "points") | (Unit::Minutes, "minutes") | (Unit::Days, "days") => 1.0,
            (Unit::Minutes, "hours") => 60.0,
            (Unit::Minutes, "days") => 1440.0,
            (Unit::Count(what), unit) if unit == what => 1.0,
            (unit, given) => {
                let wanted = match unit {
                    Unit::Percent => "%",
                    Unit::Points => "points",
                    Unit::Minutes => "minutes, hours or days",
                    Unit::Days => "days",
                    Unit::Count(what) => what,
                };
                return Err(format!("the size of {kind} is in {wanted}, not in '{given}'"));
            }
        };
        Ok(self.number * factor)
    }
}
