//! Stacks for reports, and where in the allocator's memory an address lies: feature `frames`.
//!
//! A frame is told by function, file and line. Of a binary without line tables it is told by function, and of a stripped one by
//! `module+offset (build id)`: the offset is what `addr2line -e` of the unstripped module resolves. An address in no module is `unknown`, with its hex. Frames of the
//! runtime (what catches panics below a thread's function, what captures above the caller) are left out where their names are known.
//! Names come from the crate `backtrace`, build ids from the notes of the loaded modules, read by the crate `object`.
//!
//! Not for inside the allocator: all of this allocates. Invariant: an offset is printed with the build id of the very module that was loaded.
#![allow(unsafe_code)]

mod context;

use core::ffi::{CStr, c_int, c_void};
use core::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

use object::NativeEndian;
use object::elf::{FileHeader64, NT_GNU_BUILD_ID};
use object::read::elf::NoteIterator;

pub use context::{Doing, Entered, doing, enter, install_panic_context, touch};

use crate::mask::BucketMask;
use crate::{NodeId, span};

/// How the functions begin that call closures, catch panics and start threads.
const RUNTIME: [&str; 6] = [
    "alloc::boxed::Box<F,A> as core::ops::function::",
    "core::ops::function::",
    "core::panic::unwind_safe::",
    "std::panic::",
    "std::panicking::",
    "std::thread::",
];
/// The standard library's files that hold these: where a binary has line tables alone, names of functions lack their modules.
const RUNTIME_FILES: [&str; 5] = [
    "/library/core/src/ops/function.rs",
    "/library/core/src/panic/",
    "/library/std/src/panic.rs",
    "/library/std/src/panicking.rs",
    "/library/std/src/thread/",
];

/// Where a thread was: return addresses, not resolved yet. Capturing walks the stack, in microseconds; resolving reads debug information
/// from disk, in milliseconds and more.
#[derive(Clone, Debug)]
pub struct Stack {
    frames: Vec<backtrace::Frame>,
}

impl Stack {
    /// The calling thread's stack, from the caller on.
    #[inline(never)]
    #[must_use]
    pub fn capture() -> Self {
        let (own, mut below) = (Self::capture as *mut c_void, false);
        let mut frames = Vec::new();
        backtrace::trace(|frame| {
            if below {
                frames.push(frame.clone());
            }
            // By address, since a stripped binary has no names.
            below |= frame.symbol_address() == own;
            true
        });
        Self { frames }
    }

    /// The frames, innermost first, without the runtime's, and without the first ones whose functions all begin with one of `skipped`.
    #[must_use]
    pub fn resolve(&self, skipped: &[&str]) -> Vec<Frame> {
        let mut frames = self.without_runtime();
        drop_first(&mut frames, |call| !call.begins_with_any(skipped));
        frames
    }

    /// The same from a line of the program on, which had this captured by what it called. Where the binary has no lines, or the stack
    /// does not have that one, without the first functions that all begin with one of `skipped`.
    #[must_use]
    pub fn resolve_from(&self, place: &Location<'_>, skipped: &[&str]) -> Vec<Frame> {
        let mut frames = self.without_runtime();
        if !drop_first(&mut frames, |call| call.is_at(place)) {
            drop_first(&mut frames, |call| !call.begins_with_any(skipped));
        }
        frames
    }

    fn without_runtime(&self) -> Vec<Frame> {
        let modules = modules();
        let mut frames: Vec<Frame> = self.frames.iter().map(|frame| Frame::of(frame, &modules)).collect();
        if let Some(end) = frames.iter().position(|frame| frame.is_of("__rust_begin_short_backtrace")) {
            frames.truncate(end);
        }
        // A frame without a name may be anybody's; one whose functions are all the runtime's goes.
        frames.retain_mut(|frame| {
            let nameless = frame.calls.is_empty();
            frame.calls.retain(|call| !call.is_the_runtimes());
            nameless || !frame.calls.is_empty()
        });
        frames
    }
}

/// Drops what lies before the first wanted call, or before a frame without names; all or nothing. Whether there was a wanted one.
fn drop_first(frames: &mut Vec<Frame>, wanted: impl Fn(&Call) -> bool) -> bool {
    let is_first = |frame: &Frame| frame.calls.is_empty() || frame.calls.iter().any(&wanted);
    let Some(first) = frames.iter().position(is_first) else { return false };
    let Some(inlined) = frames[first].calls.iter().position(wanted) else {
        frames.drain(..first);
        return false;
    };
    frames.drain(..first);
    // Those that were compiled into the function of the wanted call.
    frames[0].calls.drain(..inlined);
    true
}

/// All frames, one or two lines each.
impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.resolve(&[])
            .iter()
            .enumerate()
            .try_for_each(|(number, frame)| writeln!(f, "{number:3}: {frame}"))
    }
}

/// A function that a frame is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name, demangled, without the hash.
    pub function: String,
    /// File and line, where the binary has line tables.
    pub line: Option<(PathBuf, u32)>,
}

/// A place in a loaded module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InModule {
    /// The module's file.
    pub path: PathBuf,
    /// The address as the file has it: what `addr2line -e` takes.
    pub offset: usize,
    /// The linker's identification of the module, if it made one.
    pub build_id: Option<Vec<u8>>,
}

impl Call {
    fn is_the_runtimes(&self) -> bool {
        let in_file = |file: &Path| {
            let file = file.to_string_lossy();
            file.starts_with("/rustc/") && RUNTIME_FILES.iter().any(|part| file.contains(part))
        };
        self.begins_with_any(&RUNTIME) || self.line.as_ref().is_some_and(|(file, _)| in_file(file))
    }

    fn is_at(&self, place: &Location<'_>) -> bool {
        // The line table has whole paths where the compiler was given one below its folder.
        self.line.as_ref().is_some_and(|(file, line)| *line == place.line() && file.ends_with(place.file()))
    }

    fn begins_with_any(&self, starts: &[&str]) -> bool {
        // A method of a trait is named `<type as trait>::method`.
        let function = self.function.trim_start_matches('<');
        starts.iter().any(|start| function.starts_with(start))
    }
}

/// One frame of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The address in the instruction that the frame is at: of a call, not of where it returns to.
    pub address: usize,
    /// The function, after those that were compiled into it: innermost first. Empty where the binary has no names.
    pub calls: Vec<Call>,
    /// Where that is in which module, if it is in any.
    pub module: Option<InModule>,
}

impl Frame {
    /// What is known of an address of code.
    #[must_use]
    pub fn at(address: usize) -> Self {
        let mut calls = Vec::new();
        // Takes the address for one that a call returns to, and looks at the byte before.
        backtrace::resolve(address.wrapping_add(1) as *mut c_void, |symbol| calls.extend(call(symbol)));
        Self { address, calls, module: in_module(&modules(), address) }
    }

    fn of(frame: &backtrace::Frame, modules: &[Module]) -> Self {
        let mut calls = Vec::new();
        backtrace::resolve_frame(frame, |symbol| calls.extend(call(symbol)));
        // Back into the call, as what resolves names does.
        let address = (frame.ip() as usize).saturating_sub(1);
        Self { address, calls, module: in_module(modules, address) }
    }

    fn is_of(&self, function: &str) -> bool {
        self.calls.iter().any(|call| call.function.contains(function))
    }
}

fn call(symbol: &backtrace::Symbol) -> Option<Call> {
    let function = format!("{:#}", symbol.name()?);
    Some(Call { function, line: symbol.filename().map(Path::to_owned).zip(symbol.lineno()) })
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, call) in self.calls.iter().enumerate() {
            let inlined = number + 1 < self.calls.len();
            write!(f, "{}", call.function)?;
            match (&call.line, &self.module) {
                (Some((file, line)), _) => write!(f, "\n       at {}:{line}", file.display())?,
                (None, Some(module)) => write!(f, " in {module}")?,
                (None, None) => write!(f, " {:#x}", self.address)?,
            }
            if inlined {
                write!(f, "\n     ")?;
            }
        }
        match &self.module {
            _ if !self.calls.is_empty() => Ok(()),
            Some(module) => write!(f, "{module}"),
            None => write!(f, "unknown {:#x}", self.address),
        }
    }
}

impl fmt::Display for InModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.path.display(), self.offset)?;
        match &self.build_id {
            Some(id) => {
                write!(f, " (build id ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, ")")
            }
            None => write!(f, " (no build id)"),
        }
    }
}

/// A module that is loaded.
struct Module {
    path: PathBuf,
    /// What is added to the file's addresses.
    bias: usize,
    /// Where it lies.
    parts: Vec<core::ops::Range<usize>>,
    build_id: Option<Vec<u8>>,
}

fn in_module(modules: &[Module], address: usize) -> Option<InModule> {
    let holds = |module: &&Module| module.parts.iter().any(|part| part.contains(&address));
    modules.iter().find(holds).map(|module| InModule {
        path: module.path.clone(),
        offset: address.wrapping_sub(module.bias),
        build_id: module.build_id.clone(),
    })
}

/// All modules that are loaded.
fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    // SAFETY: the callback gets this pointer back, during the call alone.
    unsafe { libc::dl_iterate_phdr(Some(add_module), (&raw mut modules).cast()) };
    modules
}

/// Adds one module to a `Vec<Module>`.
unsafe extern "C" fn add_module(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    modules: *mut c_void,
) -> c_int {
    // SAFETY: `modules` passed its own vector, which nobody else uses meanwhile.
    let modules = unsafe { &mut *modules.cast::<Vec<Module>>() };
    // SAFETY: the linker's description of a loaded module, valid during the call.
    let info = unsafe { &*info };
    let bias = info.dlpi_addr as usize;
    // SAFETY: as many headers as it says; a module has some.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let place = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let of_type = |wanted: u32| headers.iter().filter(move |header| header.p_type == wanted);
    let build_id = of_type(libc::PT_NOTE).find_map(|header| {
        let place = place(header);
        // SAFETY: notes are in the module's loaded memory, which is only read, and stays while the linker walks the modules.
        let notes = unsafe { core::slice::from_raw_parts(place.start as *const u8, place.len()) };
        build_id(notes, header.p_align)
    });
    // SAFETY: the linker's own string.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) }.to_string_lossy();
    // The program itself has no name there.
    let path =
        if name.is_empty() { std::env::current_exe().unwrap_or_default() } else { PathBuf::from(&*name) };
    modules.push(Module { path, bias, parts: of_type(libc::PT_LOAD).map(place).collect(), build_id });
    0
}

/// The build id in a segment of notes.
fn build_id(notes: &[u8], align: u64) -> Option<Vec<u8>> {
    let endian = NativeEndian;
    let notes = NoteIterator::<FileHeader64<NativeEndian>>::new(endian, align, notes).ok()?;
    notes.flatten().find_map(|note| {
        (note.name() == b"GNU" && note.n_type(endian) == NT_GNU_BUILD_ID).then(|| note.desc().to_vec())
    })
}

/// Where an address of the allocator's memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The address of the page.
    pub page: usize,
    /// The node of the page.
    pub node: NodeId,
    /// Bytes of a slot.
    pub slot_size: usize,
    /// The slot, from the page's first.
    pub slot: usize,
    /// The bucket whose mask has the slot's bit.
    pub bucket: usize,
}

impl Place {
    /// The place of an address in a bucket page; `None` outside of those (large blocks, ranges, what is not the allocator's).
    #[must_use]
    pub fn of(address: usize) -> Option<Self> {
        let page = span::page_at(address)?;
        let slot = address.checked_sub(page.base())? / page.slot_size().max(1);
        let is_slot = slot < page.slots();
        is_slot.then(|| Self {
            page: page.base(),
            node: page.node(),
            slot_size: page.slot_size(),
            slot,
            bucket: slot / BucketMask::SLOTS as usize,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, node, slot_size, slot, bucket } = self;
        write!(
            f,
            "page {page:#x} of node {}, slots of {slot_size} bytes, slot {slot}, bucket {bucket}",
            node.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_told_by_names_and_where_they_lack_modules_by_files() {
        let is_the_runtimes = |function: &str, file: &str| {
            Call { function: function.into(), line: Some((file.into(), 1)) }.is_the_runtimes()
        };
        assert!(is_the_runtimes("std::panicking::catch_unwind", "/anywhere/panicking.rs"));
        assert!(is_the_runtimes(
            "do_call<program::work::{closure_env#0}, ()>",
            "/rustc/0/library/std/src/panicking.rs"
        ));
        assert!(!is_the_runtimes("do_call", "/program/library/std/src/panicking.rs"), "a program's own");
        assert!(
            !is_the_runtimes("sort<u64>", "/rustc/0/library/core/src/slice/mod.rs"),
            "what a program called"
        );
        assert!(!Call { function: "do_call".into(), line: None }.is_the_runtimes());
    }
}
