//! The one rule of numbers that arrive as text: in JSON, in a property of HubSpot, in a rate, as a float's shortest text.
//!
//! A number is an optional sign, digits with at most one point, and an optional exponent; blanks around it do not count.
//! It is read digit by digit and never passes through a float. What the column's type does not hold exactly is not a value
//! of that column: nothing is rounded, except a rate ([`rounded`]). docs/contracts.md has the rule as a table.
//!
//! No exponent and no text makes this loop or allocate: the work is a few passes over the text.

/// Why a text is not a value of a column of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    NotANumber,
    /// Decimals that are not zero and that the column does not have. A bigint has none.
    TooManyDecimals,
    TooLarge,
}

impl Invalid {
    /// What the reject file says.
    pub fn rule(self) -> &'static str {
        match self {
            Invalid::NotANumber => "is not a number",
            Invalid::TooManyDecimals => "has more decimals than its column",
            Invalid::TooLarge => "does not fit its column",
        }
    }
}

/// The digits of the widest decimal.
const MOST_DIGITS: u32 = 38;
const LIMIT: i128 = 10_i128.pow(MOST_DIGITS);
/// Larger exponents are read as this one. No text has enough digits for that to make a difference.
const LARGEST_EXPONENT: i64 = 1_000_000_000_000;

/// The unscaled value of a decimal: `12.30` at scale 2 is 1230, and so is `1.23e1`; `12.305` is none.
pub fn decimal(text: &str, scale: i8) -> Result<i128, Invalid> {
    Number::read(text)?.unscaled(scale, false)
}

/// The same, rounded half away from zero where the text has more decimals. Only for rates, which are quotients anyway.
pub fn rounded(text: &str, scale: i8) -> Result<i128, Invalid> {
    Number::read(text)?.unscaled(scale, true)
}

/// A whole number: `7`, `7.0` and `70e-1` are the same one, as in JSON Schema; `7.5` is none.
pub fn integer(text: &str) -> Result<i64, Invalid> {
    if let Ok(plain) = text.parse() {
        return Ok(plain);
    }
    i64::try_from(decimal(text, 0)?).map_err(|_| Invalid::TooLarge)
}

/// A number's text in its parts.
struct Number<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Number<'a> {
    fn read(text: &'a str) -> Result<Self, Invalid> {
        let (negative, rest) = sign(text.trim_matches([' ', '\t', '\n', '\r']));
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent).ok_or(Invalid::NotANumber)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let number = Number { negative, whole, fraction, exponent };
        let is_number = number.len() > 0 && number.digits().all(|digit| digit.is_ascii_digit());
        if is_number { Ok(number) } else { Err(Invalid::NotANumber) }
    }

    fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn unscaled(&self, scale: i8, round: bool) -> Result<i128, Invalid> {
        let zeros = self.digits().rev().take_while(|digit| *digit == b'0').count();
        let significant = self.len() - zeros;
        if significant == 0 {
            return Ok(0);
        }
        // The number is its significant digits, as one integer, times this power of ten.
        let power = self.exponent - self.fraction.len() as i64 + zeros as i64 + i64::from(scale);
        let (kept, rounds_up) = match u64::try_from(-power) {
            Ok(0) | Err(_) => (significant, false),
            Ok(_) if !round => return Err(Invalid::TooManyDecimals),
            Ok(cut) => match usize::try_from(cut).ok().and_then(|cut| significant.checked_sub(cut)) {
                Some(kept) => (kept, self.digits().nth(kept).is_some_and(|digit| digit >= b'5')),
                None => (0, false),
            },
        };
        let mut value: i128 = 0;
        for digit in self.digits().take(kept) {
            if value >= LIMIT / 10 {
                return Err(Invalid::TooLarge);
            }
            value = value * 10 + i128::from(digit - b'0');
        }
        value += i128::from(rounds_up);
        let shift = u32::try_from(power.max(0)).ok().filter(|shift| *shift < MOST_DIGITS).ok_or(Invalid::TooLarge)?;
        let value = value.checked_mul(10_i128.pow(shift)).filter(|value| *value < LIMIT).ok_or(Invalid::TooLarge)?;
        Ok(if self.negative { -value } else { value })
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() {
        return None;
    }
    let size = digits.bytes().try_fold(0, |size: i64, digit| {
        digit.is_ascii_digit().then(|| (size * 10 + i64::from(digit - b'0')).min(LARGEST_EXPONENT))
    })?;
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests;
