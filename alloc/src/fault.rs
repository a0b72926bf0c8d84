//! Broken uses that the allocator notices: told in one line, and in `checked` builds where the block was made and
//! freed, then the process ends.
//!
//! Invariant: nothing here allocates; the text is put together on the stack.

use core::sync::atomic::Ordering;

use crate::granule::Kind;
use crate::page::PageMeta;
use crate::{site, span, sys};

/// What a caller did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The block is free already.
    DoubleFree,
    /// The address is inside the region but no block was ever there.
    Foreign,
    /// The address is inside a block, not at its start.
    Misaligned,
}

/// Ends the process with a message that names the address and what is known of its page.
#[cold]
#[inline(never)]
pub(crate) fn fatal(fault: Fault, address: usize, page: Option<&PageMeta>) -> ! {
    let mut message = Message::default();
    message.text("bucketmask: ");
    message.text(match fault {
        Fault::DoubleFree => "double free of ",
        Fault::Foreign => "free of a pointer that was not allocated, ",
        Fault::Misaligned => "free of a pointer into the middle of a block, ",
    });
    message.hex(address);
    if let Some(page) = page.or_else(|| span::page_at(address)) {
        message.text(", page ");
        message.hex(page.base());
        if page.kind() == Kind::Slab {
            message.text(", class ");
            message.decimal(usize::from(page.header.class.load(Ordering::Relaxed)));
        }
        message.text(", slot size ");
        message.decimal(page.slot_size());
        message.text(", node ");
        message.decimal(usize::from(page.node().0));
    }
    message.text("\n");
    site::tell(&mut message, address);
    sys::abort_with(message.bytes())
}

/// Bytes of a message at most.
const LONGEST: usize = if cfg!(feature = "checked") { 4096 } else { 256 };

/// A text in the making; what does not fit is cut off.
pub(crate) struct Message {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Default for Message {
    fn default() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }
}

impl Message {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes_of(text.as_bytes());
    }

    /// Adds text of an unknown encoding.
    pub(crate) fn bytes_of(&mut self, text: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text[..len]);
        self.len += len;
    }

    pub(crate) fn hex(&mut self, number: usize) {
        self.text("0x");
        self.digits(number, 16);
    }

    fn decimal(&mut self, number: usize) {
        self.digits(number, 10);
    }

    fn digits(&mut self, mut number: usize, base: usize) {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdef"[number % base];
            number /= base;
            if number == 0 {
                break;
            }
        }
        for &digit in &digits[first..] {
            if self.len < self.bytes.len() {
                self.bytes[self.len] = digit;
                self.len += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_text_are_put_together_and_cut_at_the_end() {
        let mut message = Message::default();
        message.text("at ");
        message.hex(0xdead_beef);
        message.text(" of ");
        message.decimal(0);
        message.text(" and ");
        message.decimal(usize::MAX);
        let expected = format!("at 0xdeadbeef of 0 and {}", usize::MAX);
        assert_eq!(message.bytes(), expected.as_bytes());
        for _ in 0..500 {
            message.text("more and more");
            message.decimal(12345);
        }
        assert_eq!(message.bytes().len(), LONGEST);
    }
}
