//! Parquet's hybrid of run lengths and bit packing: what dictionary indices and definition levels are written in.

/// A run of fewer equal values is packed with its neighbours.
const SHORTEST_RUN: usize = 8;

/// Values are packed in groups of this many.
const GROUP: usize = 8;

/// Appends the values, each of at most `width` bits, to `out`.
pub(crate) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // What comes before `packed` is written; from there to `at` nothing is worth a run.
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        // Packed groups are whole, so the run gives the last of them what it lacks.
        let lacking = (at - packed).next_multiple_of(GROUP) - (at - packed);
        if run < SHORTEST_RUN + lacking {
            at += run;
            continue;
        }
        pack(&values[packed..at + lacking], width, out);
        repeat(values[at], run - lacking, width, out);
        at += run;
        packed = at;
    }
    pack(&values[packed..], width, out);
}

/// A run: how often, and the value in whole bytes.
fn repeat(value: u32, times: usize, width: u32, out: &mut Vec<u8>) {
    header((times as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Groups, from the lowest bit on. The last one of all may be filled up with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    header((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    let (mut bits, mut filled) = (0_u64, 0);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += width;
        if filled >= u32::BITS {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= u32::BITS;
            filled -= u32::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

/// The length of a run or of a row of groups, seven bits to a byte.
fn header(mut length: u64, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the hybrid as the format's description says.
    fn decoded(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(width.div_ceil(8) as usize);
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                values.extend(std::iter::repeat_n(value, header >> 1));
                bytes = rest;
                continue;
            }
            let (groups, rest) = bytes.split_at((header >> 1) * width as usize);
            let bit = |at: usize| u32::from(groups[at / 8] >> (at % 8) & 1);
            let packed = (header >> 1) * GROUP;
            values.extend(
                (0..packed).map(|at| (0..width as usize).map(|of| bit(at * width as usize + of) << of).sum::<u32>()),
            );
            bytes = rest;
        }
        assert!(bytes.is_empty(), "{} bytes are left over", bytes.len());
        values.truncate(count);
        values
    }

    #[test]
    fn what_is_packed_and_what_is_repeated_reads_back() {
        let mut random = fastrand::Rng::with_seed(20_261_123);
        for _ in 0..2_000 {
            let width = random.u32(0..=32);
            let largest = ((1_u64 << width) - 1) as u32;
            let mut values = Vec::new();
            for _ in 0..random.usize(0..40) {
                let times = [1, 1, 1, 3, 7, 8, 9, 15, 16, 17, 500][random.usize(0..11)];
                values.extend(std::iter::repeat_n(random.u32(0..=largest), times));
            }
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            assert_eq!(decoded(&bytes, width, values.len()), values, "{width} bits");
        }
    }

    #[test]
    fn a_page_of_one_value_takes_a_few_bytes() {
        let mut bytes = Vec::new();
        encode(&[1; 20_000], 1, &mut bytes);
        assert_eq!(bytes, [0xc0, 0xb8, 0x02, 1]);
    }
}
