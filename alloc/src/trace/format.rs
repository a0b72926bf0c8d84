//! A trace to the byte; all numbers little-endian.
//!
//! ```text
//! file    0      head: magic (8), version (u32), bytes of a chunk (u32), process (u64), start (u64, s since 1970),
//!                events (u64) and chunks (u64), both 0 until the recording ended in peace; zeros
//!         4096   chunks of 64 KiB
//! chunk   0      number from 1 (u32; 0: never begun), bytes of records (u32), checksum (u32, CRC-32 of the
//!                other 28 bytes, as of a sealed one, and the records), 1 if it is sealed (u32), time (u64, ms since start), thread (u64)
//!         32     records
//! record         a byte: kind in the low four bits, log2 of the alignment above (15: a byte with it follows)
//!                malloc, zeroed, resized: the size, then the address; free, resizing: the address; touched, of the block that
//!                the next record frees or resizes: OS pages of it that are in memory, then the address
//!                thread: the thread's key; time: ms since the last; end: nothing
//! ```
//!
//! Numbers in records are variable: seven bits a byte, the lowest first, the top bit says that more follow. An address is
//! eighths of it, as the difference to the one before in the chunk (0 at its start), the sign in the lowest bit. A chunk can be
//! read without the one before. Bytes of records count only what is complete: a writer that dies leaves no half record.
//! Shared by the recorder and the reader. Invariant: what `Record` encodes, `Cursor` decodes.

/// First bytes of a trace.
pub(crate) const MAGIC: [u8; 8] = *b"bmtrace\n";
/// This description's number.
pub(crate) const VERSION: u32 = 1;
/// Bytes of the head, and where the first chunk begins.
pub(crate) const HEAD: usize = 4096;
/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 64 << 10;
/// Bytes of a chunk before its records.
pub(crate) const CHUNK_HEAD: usize = 32;

/// Bytes of an OS page, in a trace.
pub(crate) const OS_PAGE: u64 = 4096;

/// Where in the head the counts lie, which are written at the end.
pub(crate) const COUNTS_AT: usize = 32;
/// Where in a chunk's head the bytes of records are told.
pub(crate) const USED_AT: usize = 4;
/// Where in a chunk's head the checksum lies.
pub(crate) const SUM_AT: usize = 8;
/// Where in a chunk's head it is told that the chunk is sealed.
pub(crate) const SEALED_AT: usize = 12;

/// What is told there of one that is.
pub(crate) const SEALED: u32 = 1;

/// The checksum of a chunk that is sealed, or will be. `None`: it says that it has more records than fit.
pub(crate) fn checksum(chunk: &[u8], used: usize) -> Option<u32> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(chunk.get(..SUM_AT)?);
    sum.update(&SEALED.to_le_bytes());
    sum.update(chunk.get(SEALED_AT + size_of::<u32>()..CHUNK_HEAD.checked_add(used)?)?);
    Some(sum.finalize())
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Malloc = 1,
    Zeroed = 2,
    Free = 3,
    Resizing = 4,
    Resized = 5,
    Thread = 6,
    Time = 7,
    End = 8,
    Touched = 9,
}

impl Kind {
    pub(crate) const fn of(tag: u8) -> Option<Self> {
        Some(match tag & 15 {
            1 => Self::Malloc,
            2 => Self::Zeroed,
            3 => Self::Free,
            4 => Self::Resizing,
            5 => Self::Resized,
            6 => Self::Thread,
            7 => Self::Time,
            8 => Self::End,
            9 => Self::Touched,
            _ => return None,
        })
    }
}

/// Marks an alignment that does not fit a tag.
const WIDE: u8 = 15;

/// Records of one event being written, into memory that has [`Record::MOST`] bytes.
pub(crate) struct Record<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Record<'a> {
    /// The most that one event takes: a thread, a time, what was touched of a block, and its free.
    pub(crate) const MOST: usize = 64;

    pub(crate) const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// Bytes written.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    pub(crate) fn tag(&mut self, kind: Kind) {
        self.byte(kind as u8);
    }

    pub(crate) fn tag_aligned(&mut self, kind: Kind, align: usize) {
        let shift = align.trailing_zeros() as u8;
        if shift < WIDE {
            self.byte(kind as u8 | shift << 4);
        } else {
            self.byte(kind as u8 | WIDE << 4);
            self.byte(shift);
        }
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 128 {
            self.byte(number as u8 | 128);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// `address`, after `before` in the same chunk.
    pub(crate) fn address(&mut self, address: u64, before: u64) {
        let difference = (address >> 3).wrapping_sub(before >> 3);
        self.number(difference << 1 ^ (difference >> 63).wrapping_neg());
    }
}

/// Reads records. `None`: what is there is no record.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The kind, and the alignment in bytes (1 for kinds without).
    pub(crate) fn tag(&mut self) -> Option<(Kind, u64)> {
        let tag = self.byte()?;
        let kind = Kind::of(tag)?;
        let shift = if tag >> 4 == WIDE { self.byte()? } else { tag >> 4 };
        (shift < 64).then(|| (kind, 1 << shift))
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 127);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn address(&mut self, before: u64) -> Option<u64> {
        let number = self.number()?;
        let difference = (number >> 1) ^ (number & 1).wrapping_neg();
        Some((before >> 3).wrapping_add(difference) << 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            kind in 1u8..=9,
            shift in 0u32..48,
            size in any::<u64>(),
            address in any::<u64>(),
            before in any::<u64>(),
        ) {
            let (address, before) = (address & !7, before & !7);
            let mut bytes = [0; Record::MOST];
            let mut record = Record::new(&mut bytes);
            let kind = Kind::of(kind).unwrap();
            record.tag_aligned(kind, 1 << shift);
            record.number(size);
            record.address(address, before);
            let len = record.len();
            prop_assert!(len <= 22);
            let mut cursor = Cursor::new(&bytes[..len], 0);
            prop_assert_eq!(cursor.tag(), Some((kind, 1 << shift)));
            prop_assert_eq!(cursor.number(), Some(size));
            prop_assert_eq!(cursor.address(before), Some(address));
            prop_assert_eq!(cursor.at(), len);
            prop_assert_eq!(cursor.tag(), None, "nothing is left");
        }
    }

    #[test]
    fn what_is_no_record_is_told() {
        assert_eq!(Cursor::new(&[0], 0).tag(), None, "a kind that is none");
        assert_eq!(Cursor::new(&[0xf1, 64], 0).tag(), None, "an alignment that is none");
        assert_eq!(Cursor::new(&[0x80, 0x80], 0).number(), None, "a number cut short");
        assert_eq!(Cursor::new(&[0xff; 11], 0).number(), None, "a number too long");
        let top = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2];
        assert_eq!(Cursor::new(&top, 0).number(), None, "a number of 65 bits");
    }

    /// So that the sum can be stored before the chunk is said to be sealed.
    #[test]
    fn the_checksum_of_a_chunk_is_known_before_it_is_sealed() {
        let mut chunk = vec![7; CHUNK];
        chunk[SEALED_AT..SEALED_AT + 4].fill(0);
        let before = checksum(&chunk, 100).unwrap();
        chunk[SEALED_AT..SEALED_AT + 4].copy_from_slice(&SEALED.to_le_bytes());
        assert_eq!(checksum(&chunk, 100), Some(before));
        chunk[CHUNK_HEAD] ^= 1;
        assert_ne!(checksum(&chunk, 100), Some(before));
        assert_eq!(checksum(&chunk, CHUNK - CHUNK_HEAD + 1), None);
    }

    #[test]
    fn a_neighbour_takes_few_bytes() {
        let mut bytes = [0; Record::MOST];
        let mut record = Record::new(&mut bytes);
        record.tag_aligned(Kind::Malloc, 16);
        record.number(100);
        record.address(0x7000_0000_1040, 0x7000_0000_1000);
        assert_eq!(record.len(), 3);
    }
}
