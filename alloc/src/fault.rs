//! Broken uses that the allocator notices: told in one line, then the process ends.
//!
//! Invariant: nothing here allocates; the text is put together on the stack.

use core::sync::atomic::Ordering;

use crate::granule::Kind;
use crate::page::PageMeta;
use crate::{span, sys};

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
    sys::abort_with(message.bytes())
}

struct Message {
    bytes: [u8; 256],
    len: usize,
}

impl Default for Message {
    fn default() -> Self {
        Self { bytes: [0; 256], len: 0 }
    }
}

impl Message {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Adds text; what does not fit is cut off.
    fn text(&mut self, text: &str) {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
    }

    fn hex(&mut self, number: usize) {
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
        for _ in 0..100 {
            message.text("more and more");
            message.decimal(12345);
        }
        assert_eq!(message.bytes().len(), 256);
    }
}
