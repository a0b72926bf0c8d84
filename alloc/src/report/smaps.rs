//! What the kernel says about the region's mappings, and about the whole process: `/proc/self/smaps`.
//!
//! Owned by `collect`. Invariant: nothing here allocates: the file passes through a buffer on the stack, so
//! that a report does not disturb what it reports.
#![allow(unsafe_code)]

/// Memory of some mappings, as the kernel counts it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MemoryReport {
    /// In memory (`Rss`).
    pub resident: usize,
    /// Written by this process and shared with no other (`Private_Dirty`).
    pub private_dirty: usize,
    /// Given up by `MADV_FREE` and not yet taken by the kernel (`LazyFree`): resident, but not needed.
    pub lazy_free: usize,
    /// In huge pages (`AnonHugePages`).
    pub huge: usize,
    /// In swap space (`Swap`).
    pub swapped: usize,
}

impl MemoryReport {
    /// Adds a field of a mapping; those without a counter here are left out.
    pub(crate) fn add(&mut self, field: &[u8], bytes: usize) {
        let counter = match field {
            b"Rss" => &mut self.resident,
            b"Private_Dirty" => &mut self.private_dirty,
            b"LazyFree" => &mut self.lazy_free,
            b"AnonHugePages" => &mut self.huge,
            b"Swap" => &mut self.swapped,
            _ => return,
        };
        *counter += bytes;
    }
}

/// Reads the process's mappings, by address; calls `visit` with the first address of a mapping, the name of a
/// field and its bytes. `false` where the kernel tells nothing.
pub(crate) fn for_each_field(mut visit: impl FnMut(usize, &[u8], usize)) -> bool {
    let mut mapping = 0;
    let mut lines = 0usize;
    let read = for_each_line(|line| {
        lines += 1;
        if let Some(start) = mapping_start(line) {
            mapping = start;
        } else if let Some((field, bytes)) = field_bytes(line) {
            visit(mapping, field, bytes);
        }
    });
    read && lines > 0
}

/// The address that a mapping's first line begins with: `7f0000000000-7f0000001000 rw-p ...`.
fn mapping_start(line: &[u8]) -> Option<usize> {
    let end = line.iter().position(|&byte| byte == b'-')?;
    let digits = core::str::from_utf8(&line[..end]).ok()?;
    usize::from_str_radix(digits, 16).ok()
}

/// Name and bytes of a line like `Rss:      4 kB`.
fn field_bytes(line: &[u8]) -> Option<(&[u8], usize)> {
    let end = line.iter().position(|&byte| byte == b':')?;
    let kilobytes = core::str::from_utf8(&line[end + 1..]).ok()?.trim().strip_suffix(" kB")?;
    Some((&line[..end], kilobytes.parse::<usize>().ok()?.checked_mul(1024)?))
}

/// Calls `visit` with each line of the file; of a line longer than the buffer, with its first part.
fn for_each_line(mut visit: impl FnMut(&[u8])) -> bool {
    // SAFETY: a text that ends in 0; opening reads nothing else.
    let file = unsafe { libc::open(c"/proc/self/smaps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return false;
    }
    let mut buffer = [0u8; 4096];
    let (mut filled, mut skipping) = (0, false);
    loop {
        let room = &mut buffer[filled..];
        // SAFETY: reads into `room`, as much as it holds.
        let read = unsafe { libc::read(file, room.as_mut_ptr().cast(), room.len()) };
        let Ok(read @ 1..) = usize::try_from(read) else { break };
        filled += read;
        let mut start = 0;
        while let Some(len) = buffer[start..filled].iter().position(|&byte| byte == b'\n') {
            if !core::mem::replace(&mut skipping, false) {
                visit(&buffer[start..start + len]);
            }
            start += len + 1;
        }
        if start == 0 && filled == buffer.len() {
            if !core::mem::replace(&mut skipping, true) {
                visit(&buffer);
            }
            start = filled;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
    // SAFETY: opened above.
    unsafe { libc::close(file) };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let header = b"55d0c8a00000-55d0c8a02000 r--p 00000000 08:01 1234   /usr/bin/x-y:z kB";
        assert_eq!(mapping_start(header), Some(0x55d0_c8a0_0000));
        assert_eq!(mapping_start(b"VmFlags: rd ex mr-mw"), None);
        assert_eq!(field_bytes(b"Private_Dirty:        12 kB"), Some((&b"Private_Dirty"[..], 12 * 1024)));
        assert_eq!(field_bytes(b"THPeligible:    0"), None);
        assert_eq!(field_bytes(b"VmFlags: rd ex mr"), None);
    }

    #[test]
    fn a_mapping_that_is_written_is_resident_and_dirty() {
        const BYTES: usize = 3 << 20;
        let memory = crate::sys::map(BYTES).unwrap();
        // SAFETY: mapped above.
        unsafe { memory.write_bytes(1, BYTES) };
        let mut report = MemoryReport::default();
        let address = memory.as_ptr() as usize;
        // Anonymous neighbours may have become one mapping with it.
        let mut all = MemoryReport::default();
        let mut starts = Vec::new();
        assert!(for_each_field(|start, field, bytes| {
            all.add(field, bytes);
            if starts.last() != Some(&start) {
                starts.push(start);
                if start <= address {
                    report = MemoryReport::default();
                }
            }
            if start <= address {
                report.add(field, bytes);
            }
        }));
        assert!(starts.is_sorted() && starts.len() > 5);
        assert!(report.resident >= BYTES && report.private_dirty >= BYTES, "{report:?}");
        assert!(all.resident > report.resident);
        // SAFETY: mapped above, no longer used.
        unsafe { crate::sys::unmap(memory, BYTES) };
    }
}
