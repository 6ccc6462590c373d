//! The little-endian binary forms of records and snapshots. Reading them never panics and never
//! allocates more than the input is long.

use bytes::{Buf, Bytes};

/// Bytes are malformed: this version does not write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Appends numbers and strings to a buffer.
pub trait Write {
    /// One byte.
    fn u8(&mut self, v: u8);
    /// Two bytes.
    fn u16(&mut self, v: u16);
    /// Four bytes.
    fn u32(&mut self, v: u32);
    /// Eight bytes.
    fn u64(&mut self, v: u64);
    /// Sixteen bytes.
    fn u128(&mut self, v: u128);
    /// LEB128: seven bits a byte, low ones first.
    fn varint(&mut self, v: u64);
    /// A varint length, then the bytes.
    fn bytes(&mut self, v: &[u8]);
    /// A number, then what `fill` writes, as [`Write::bytes`]: a reader that does not know the number
    /// knows where it ends.
    fn section(&mut self, number: u8, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut content = Vec::new();
        fill(&mut content);
        self.u8(number);
        self.bytes(&content);
    }
    /// Writes a string in the form of [`Write::bytes`].
    fn str(&mut self, v: &str) {
        self.bytes(v.as_bytes());
    }
    /// 0, or 1 and the number as a varint.
    fn opt_varint(&mut self, v: Option<u64>) {
        match v {
            None => self.u8(0),
            Some(v) => {
                self.u8(1);
                self.varint(v);
            }
        }
    }
    /// 0, or 1 and the string.
    fn opt_str(&mut self, v: Option<&str>) {
        match v {
            None => self.u8(0),
            Some(v) => {
                self.u8(1);
                self.str(v);
            }
        }
    }
}

impl Write for Vec<u8> {
    fn u8(&mut self, v: u8) {
        self.push(v);
    }
    fn u16(&mut self, v: u16) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn u32(&mut self, v: u32) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn u128(&mut self, v: u128) {
        self.extend_from_slice(&v.to_le_bytes());
    }
    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.push(v as u8);
    }
    fn bytes(&mut self, v: &[u8]) {
        self.varint(v.len() as u64);
        self.extend_from_slice(v);
    }
}

/// Takes numbers and strings off the front of a buffer.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Returns the bytes that have not been read yet.
    pub fn rest(self) -> Bytes {
        self.rest
    }

    /// Returns the number of bytes that have not been read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<Bytes, Malformed> {
        if n > self.rest.len() {
            return Err(Malformed("length"));
        }
        Ok(self.rest.split_to(n))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.rest.try_get_u8().map_err(|_| Malformed("end"))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.rest.try_get_u16_le().map_err(|_| Malformed("end"))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.rest.try_get_u32_le().map_err(|_| Malformed("end"))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.rest.try_get_u64_le().map_err(|_| Malformed("end"))
    }

    /// Sixteen bytes.
    pub fn u128(&mut self) -> Result<u128, Malformed> {
        self.rest.try_get_u128_le().map_err(|_| Malformed("end"))
    }

    /// A LEB128 number of at most 64 bits.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("varint"))
    }

    /// A varint that must fit 32 bits.
    pub fn varint32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("varint"))
    }

    /// A count of things that take at least one byte each.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let n = self.varint()?;
        if n > self.rest.len() as u64 {
            return Err(Malformed("count"));
        }
        Ok(n as usize)
    }

    /// A varint length and as many bytes, not copied.
    pub fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let n = self.count()?;
        self.take(n)
    }

    /// A varint length and as many bytes of UTF-8.
    pub fn string(&mut self) -> Result<String, Malformed> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Malformed("utf-8"))
    }

    /// Reads what [`Write::opt_varint`] wrote.
    pub fn opt_varint(&mut self) -> Result<Option<u64>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(self.varint()?)),
            _ => Err(Malformed("option")),
        }
    }

    /// Reads what [`Write::opt_str`] wrote.
    pub fn opt_string(&mut self) -> Result<Option<String>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(self.string()?)),
            _ => Err(Malformed("option")),
        }
    }

    /// One byte that must be 0 or 1.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("flag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            out.varint(value);
            assert_eq!(Reader::new(out.into()).varint(), Ok(value));
        }
        assert!(Reader::new(Bytes::from_static(&[0xff; 11])).varint().is_err());
        assert!(Reader::new(Bytes::from_static(&[0x80])).varint().is_err());
    }

    #[test]
    fn a_length_beyond_the_input_is_refused() {
        assert!(Reader::new(Bytes::from_static(&[5, 1, 2])).bytes().is_err());
        assert!(Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1])).count().is_err());
    }
}
