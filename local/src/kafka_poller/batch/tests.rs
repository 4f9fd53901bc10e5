use super::*;

fn varint(value: i64) -> Vec<u8> {
    let mut bits = (value << 1 ^ value >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while bits > 0x7f {
        bytes.push(bits as u8 & 0x7f | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
    bytes
}

fn sized(bytes: Option<&[u8]>) -> Vec<u8> {
    bytes.map_or(varint(-1), |bytes| [varint(bytes.len() as i64), bytes.to_vec()].concat())
}

/// A record, with its length before it.
fn record(time: i64, offset: i64, headers: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut body = [vec![0], varint(time), varint(offset), sized(None), sized(Some(b"v"))].concat();
    body.extend(varint(headers.len() as i64));
    for (name, value) in headers {
        body.extend([sized(Some(name.as_bytes())), sized(*value)].concat());
    }
    [varint(body.len() as i64), body].concat()
}

fn batch(base: i64, attributes: i16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut body = [0_i32.to_be_bytes().to_vec(), vec![2], vec![0; 4], attributes.to_be_bytes().to_vec()].concat();
    body.extend((records.len() as i32 - 1).to_be_bytes());
    body.extend(1_000_i64.to_be_bytes());
    body.extend(5_000_i64.to_be_bytes());
    body.extend([0xff; 14]);
    body.extend((records.len() as i32).to_be_bytes());
    body.extend(records.concat());
    [base.to_be_bytes().to_vec(), (body.len() as i32).to_be_bytes().to_vec(), body].concat()
}

#[test]
fn every_record_is_read_with_its_headers_and_its_time() {
    let headers: &[(&str, Option<&[u8]>)] = &[("h", Some(b"\xff\0")), ("none", None), ("h", Some(b"")), ("", None)];
    let bytes = batch(7, 0, &[record(5, 0, headers), record(i64::MAX - 1_000, 1, &[])]);
    let read = read(&bytes, 0).expect("batches");
    assert_eq!((read.next, read.unreadable.len()), (9, 0));
    let first = &read.records[0];
    assert_eq!((first.offset, first.timestamp, first.is_append_time), (7, 1_005, false));
    assert_eq!((&first.key, first.value.as_deref()), (&None, Some(&b"v"[..])));
    let expected: Vec<(String, Option<Vec<u8>>)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec))).collect();
    assert_eq!(first.headers, expected);
    assert_eq!((read.records[1].offset, read.records[1].timestamp), (8, i64::MAX));
}

#[test]
fn earlier_records_and_a_batch_that_is_cut_off_are_left_out() {
    let two = [batch(0, 0, &[record(0, 0, &[]), record(0, 1, &[])]), batch(2, 0, &[record(0, 0, &[])])].concat();
    let offsets = |bytes: &[u8], from| {
        let read = read(bytes, from).expect("batches");
        (read.records.iter().map(|record| record.offset).collect::<Vec<_>>(), read.next)
    };
    assert_eq!(offsets(&two, 1), (vec![1, 2], 3));
    for cut in 1..20 {
        assert_eq!(offsets(&two[..two.len() - cut], 0), (vec![0, 1], 2), "{cut}");
    }
    assert_eq!(offsets(&[], 4), (vec![], 4));
}

#[test]
fn append_times_are_the_brokers_and_control_batches_are_no_records() {
    let append_time = read(&batch(0, 1 << 3, &[record(5, 0, &[])]), 0).expect("batches");
    assert_eq!((append_time.records[0].timestamp, append_time.records[0].is_append_time), (5_000, true));
    let control = read(&batch(4, 1 << 5, &[record(0, 0, &[])]), 4).expect("batches");
    assert_eq!((control.records.len(), control.unreadable.len(), control.next), (0, 0, 5));
}

#[test]
fn what_cannot_be_read_is_named_and_its_neighbours_arrive() {
    let mut broken = record(0, 1, &[("h", Some(b"x"))]);
    let last = broken.len() - 2;
    // The header's value is longer than the record.
    broken[last] = 100;
    let bytes = batch(10, 0, &[record(0, 0, &[]), broken, record(0, 2, &[])]);
    let found = read(&bytes, 0).expect("batches");
    let named: Vec<(i64, i64)> =
        found.unreadable.iter().map(|unreadable| (unreadable.first, unreadable.last)).collect();
    assert_eq!((found.records.len(), found.next, named), (2, 13, vec![(11, 11)]));

    for attributes in [5, 1, 2, 3, 4] {
        let bytes = [batch(0, attributes, &[record(0, 0, &[]), record(0, 1, &[])]), batch(2, 0, &[record(0, 0, &[])])];
        let found = read(&bytes.concat(), 1).expect("batches");
        let named: Vec<(i64, i64)> = found.unreadable.iter().map(|one| (one.first, one.last)).collect();
        assert_eq!((found.records.len(), found.next, named), (1, 3, vec![(1, 1)]), "{attributes}");
    }
}

#[test]
fn a_packed_batch_that_would_fill_the_memory_is_left_out() {
    let bomb = bounded(std::io::repeat(0));
    assert!(bomb.expect_err("too large").to_string().contains("more than"));
    let length = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(unpack_snappy(&length).expect_err("too large").to_string().contains("more than"));
}
