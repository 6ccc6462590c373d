//! The bytes on disk. Every number here is frozen: change one and old logs cannot be read.
//!
//! All integers are little-endian.
//!
//! ```text
//! META and segment header (40 bytes, zeros up to 4 KiB)
//!   0  magic "KYUMETA\0" or "KYULOGS\0"     8  format version u16 (1), then u16 zero
//!  12  segment_bytes u32                    16  log id u64
//!  24  segment number u64 (META: 0)         32  zero u32
//!  36  CRC-32C of bytes 0..36
//!
//! batch header (48 bytes, at a 4 KiB boundary)
//!   0  magic "KYB1"                          4  CRC-32C of bytes 8..48, seeded with the salt
//!   8  own address u64                      16  epoch u64
//!  24  end address of the last record before this batch u64
//!  32  bytes of records u32                 36  number of records u32
//!  40  flags u32                            44  chain: last CRC before this batch u32
//!
//! record (20 bytes and the body)
//!   0  CRC-32C of bytes 4.. and the body, seeded with the CRC before it
//!   4  body length u32                       8  own address u64
//!  16  type u8 (1)                          17  type version u8 (1), then u16 zero
//! ```
//!
//! The salt is the CRC-32C of log id, segment number and epoch: bytes of the file's former life, of
//! another log or of an earlier incarnation do not pass. A batch header can be checked alone; its
//! records only in order, each CRC seeding the next.

use crate::Lsn;

pub(crate) const VERSION: u16 = 1;
pub(crate) const META_MAGIC: [u8; 8] = *b"KYUMETA\0";
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"KYULOGS\0";
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"KYB1";

pub(crate) const FILE_HEADER_BYTES: usize = 40;
pub(crate) const BATCH_HEADER_BYTES: usize = 48;
pub(crate) const RECORD_HEADER_BYTES: usize = 20;

/// First batch of an incarnation; it raises the epoch.
pub(crate) const FLAG_OPEN: u32 = 1;
/// Last batch of an incarnation that ended in good order.
pub(crate) const FLAG_CLOSE: u32 = 2;
/// Last batch of its segment.
pub(crate) const FLAG_END: u32 = 4;
/// A mark written by `repair`: what followed was cut off. Its `prev_record_end` may lie beyond the last
/// record that is left.
pub(crate) const FLAG_REPAIRED: u32 = 8;

const RECORD_TYPE_DATA: u8 = 1;
const RECORD_VERSION: u8 = 1;

/// The seed of a batch header's CRC.
pub(crate) fn salt(log_id: u64, segment: u64, epoch: u64) -> u32 {
    let crc = crc32c::crc32c(&log_id.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &segment.to_le_bytes());
    crc32c::crc32c_append(crc, &epoch.to_le_bytes())
}

/// The first block of META and of every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) log_id: u64,
    pub(crate) number: u64,
    pub(crate) segment_bytes: u32,
}

/// The reason why a file header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    NotOurs,
    Version(u16),
    Checksum,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HeaderError::NotOurs => {
                f.write_str("not a Kyu log file (its first bytes are something else)")
            }
            HeaderError::Version(version) => write!(
                f,
                "log format version {version}; this program reads version {VERSION} (a newer Kyu wrote it?)"
            ),
            HeaderError::Checksum => f.write_str("the header's checksum does not match"),
        }
    }
}

impl FileHeader {
    pub(crate) fn encode(&self, magic: [u8; 8]) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = Writer::<FILE_HEADER_BYTES>::new();
        bytes.put(&magic);
        bytes.put(&VERSION.to_le_bytes());
        bytes.put(&[0; 2]);
        bytes.put(&self.segment_bytes.to_le_bytes());
        bytes.put(&self.log_id.to_le_bytes());
        bytes.put(&self.number.to_le_bytes());
        bytes.put(&[0; 4]);
        let crc = crc32c::crc32c(bytes.written());
        bytes.put(&crc.to_le_bytes());
        bytes.bytes
    }

    pub(crate) fn decode(magic: [u8; 8], bytes: &[u8]) -> Result<FileHeader, HeaderError> {
        let bytes = bytes.get(..FILE_HEADER_BYTES).ok_or(HeaderError::NotOurs)?;
        if !bytes.starts_with(&magic) {
            return Err(HeaderError::NotOurs);
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if crc32c::crc32c(bytes.get(..36).unwrap_or_default()) != u32_at(bytes, 36) {
            return Err(HeaderError::Checksum);
        }
        Ok(FileHeader {
            segment_bytes: u32_at(bytes, 12),
            log_id: u64_at(bytes, 16),
            number: u64_at(bytes, 24),
        })
    }
}

/// The header of a batch, with which each durable write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) lsn: Lsn,
    pub(crate) epoch: u64,
    /// End of the last record before this batch, wherever that was.
    pub(crate) prev_record_end: Lsn,
    pub(crate) records_bytes: u32,
    pub(crate) record_count: u32,
    pub(crate) flags: u32,
    /// The last CRC before this batch.
    pub(crate) prev_chain: u32,
}

impl BatchHeader {
    /// The bytes and their CRC, which seeds the first record.
    pub(crate) fn encode(&self, log_id: u64, segment: u64) -> ([u8; BATCH_HEADER_BYTES], u32) {
        let mut rest = Writer::<40>::new();
        rest.put(&self.lsn.0.to_le_bytes());
        rest.put(&self.epoch.to_le_bytes());
        rest.put(&self.prev_record_end.0.to_le_bytes());
        rest.put(&self.records_bytes.to_le_bytes());
        rest.put(&self.record_count.to_le_bytes());
        rest.put(&self.flags.to_le_bytes());
        rest.put(&self.prev_chain.to_le_bytes());
        let crc = crc32c::crc32c_append(salt(log_id, segment, self.epoch), &rest.bytes);
        let mut bytes = Writer::<BATCH_HEADER_BYTES>::new();
        bytes.put(&BATCH_MAGIC);
        bytes.put(&crc.to_le_bytes());
        bytes.put(&rest.bytes);
        (bytes.bytes, crc)
    }

    /// The header at address `at`, if those are its bytes and it was written there in this life of the
    /// segment; with its CRC.
    pub(crate) fn decode(
        bytes: &[u8],
        at: Lsn,
        log_id: u64,
        segment: u64,
    ) -> Option<(BatchHeader, u32)> {
        let bytes = bytes.get(..BATCH_HEADER_BYTES)?;
        if !bytes.starts_with(&BATCH_MAGIC) || u64_at(bytes, 8) != at.0 {
            return None;
        }
        let header = BatchHeader {
            lsn: at,
            epoch: u64_at(bytes, 16),
            prev_record_end: Lsn(u64_at(bytes, 24)),
            records_bytes: u32_at(bytes, 32),
            record_count: u32_at(bytes, 36),
            flags: u32_at(bytes, 40),
            prev_chain: u32_at(bytes, 44),
        };
        let crc = crc32c::crc32c_append(salt(log_id, segment, header.epoch), bytes.get(8..)?);
        (crc == u32_at(bytes, 4)).then_some((header, crc))
    }
}

/// A record header without its CRC, which the writer thread fills in with `seal_record`.
pub(crate) fn record_header(at: Lsn, body_len: u32) -> [u8; RECORD_HEADER_BYTES] {
    let mut bytes = Writer::<RECORD_HEADER_BYTES>::new();
    bytes.put(&[0; 4]);
    bytes.put(&body_len.to_le_bytes());
    bytes.put(&at.0.to_le_bytes());
    bytes.put(&[RECORD_TYPE_DATA, RECORD_VERSION, 0, 0]);
    bytes.bytes
}

/// Computes and stores the CRC of the record that `records` begins with. Returns the record's length
/// and CRC, or `None` if there is no whole record.
pub(crate) fn seal_record(records: &mut [u8], chain: u32) -> Option<(usize, u32)> {
    let len = RECORD_HEADER_BYTES.checked_add(u32_at(records.get(..8)?, 4) as usize)?;
    let crc = crc32c::crc32c_append(chain, records.get(4..len)?);
    records.get_mut(..4)?.copy_from_slice(&crc.to_le_bytes());
    Some((len, crc))
}

/// The body of the record at address `at` that `records` begins with, and the record's CRC; `None` if
/// it is not exactly what was written there after the record whose CRC is `chain`.
pub(crate) fn open_record(records: &[u8], at: Lsn, chain: u32) -> Option<(&[u8], u32)> {
    let header = records.get(..RECORD_HEADER_BYTES)?;
    let len = RECORD_HEADER_BYTES.checked_add(u32_at(header, 4) as usize)?;
    let crc = crc32c::crc32c_append(chain, records.get(4..len)?);
    let known = header.get(16..) == Some(&[RECORD_TYPE_DATA, RECORD_VERSION, 0, 0]);
    let valid = crc == u32_at(header, 0) && u64_at(header, 8) == at.0 && known;
    valid.then_some((records.get(RECORD_HEADER_BYTES..len)?, crc))
}

/// The body and the whole length of the first of some records that `open_record` found valid.
pub(crate) fn verified_record(records: &[u8]) -> Option<(&[u8], usize)> {
    let len = RECORD_HEADER_BYTES.checked_add(u32_at(records.get(..8)?, 4) as usize)?;
    Some((records.get(RECORD_HEADER_BYTES..len)?, len))
}

/// Fills an array front to back.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Writer { bytes: [0; N], len: 0 }
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.len + field.len();
        debug_assert!(end <= N, "the fields of a header fit its size");
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(field);
        }
        self.len = end;
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

// The three readers answer zero outside `bytes`; every caller has checked the length, and a zero
// would fail the checksum.

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn batch() -> BatchHeader {
        BatchHeader {
            lsn: Lsn(0x0102_0000),
            epoch: 3,
            prev_record_end: Lsn(0x0101_fff0),
            records_bytes: 25,
            record_count: 1,
            flags: FLAG_OPEN | FLAG_END,
            prev_chain: 0xdead_beef,
        }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let header =
            FileHeader { log_id: 0x1122_3344_5566_7788, number: 9, segment_bytes: 1 << 26 };
        assert_eq!(hex(&header.encode(SEGMENT_MAGIC)), GOLDEN_SEGMENT);
        let (bytes, crc) = batch().encode(header.log_id, header.number);
        assert_eq!(hex(&bytes), GOLDEN_BATCH);
        let mut record = record_header(Lsn(0x0102_0030), 5).to_vec();
        record.extend_from_slice(b"hello");
        assert!(seal_record(&mut record, crc).is_some());
        assert_eq!(hex(&record), GOLDEN_RECORD);
    }

    const GOLDEN_SEGMENT: &str =
        "4b59554c4f4753000100000000000004887766554433221109000000000000000000000063d169c3";
    const GOLDEN_BATCH: &str = "4b5942310af2654600000201000000000300000000000000f0ff010100000000190000000100000005000000efbeadde";
    const GOLDEN_RECORD: &str = "8604ba9f0500000030000201000000000101000068656c6c6f";

    #[test]
    fn what_was_encoded_decodes_and_nothing_else_does() {
        let (log_id, segment) = (7, 9);
        let header = FileHeader { log_id, number: segment, segment_bytes: 4096 };
        let bytes = header.encode(SEGMENT_MAGIC);
        assert_eq!(FileHeader::decode(SEGMENT_MAGIC, &bytes), Ok(header));
        assert_eq!(FileHeader::decode(META_MAGIC, &bytes), Err(HeaderError::NotOurs));
        let (bytes, crc) = batch().encode(log_id, segment);
        let at = batch().lsn;
        assert_eq!(BatchHeader::decode(&bytes, at, log_id, segment), Some((batch(), crc)));
        // A former life of the file, another log, another place.
        assert_eq!(BatchHeader::decode(&bytes, at, log_id, segment - 1), None);
        assert_eq!(BatchHeader::decode(&bytes, at, log_id + 1, segment), None);
        assert_eq!(BatchHeader::decode(&bytes, Lsn(at.0 + 4096), log_id, segment), None);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BatchHeader::decode(&bad, at, log_id, segment), None, "bit {bit}");
        }
        let mut record = record_header(Lsn(50), 5).to_vec();
        record.extend_from_slice(b"hello");
        let (len, record_crc) = seal_record(&mut record, crc).expect("whole");
        assert_eq!(len, record.len());
        assert_eq!(open_record(&record, Lsn(50), crc), Some((&b"hello"[..], record_crc)));
        assert_eq!(open_record(&record, Lsn(50), crc ^ 1), None, "another predecessor");
        assert_eq!(open_record(&record[..24], Lsn(50), crc), None, "cut");
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_record(&bad, Lsn(50), crc), None, "bit {bit}");
        }
    }
}
