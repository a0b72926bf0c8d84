//! The probes of this very program, as its binary's notes tell them: each is there, and each is one `nop`.

use std::collections::BTreeMap;

use bucketmask_alloc::BucketAlloc;
use bucketmask_gc::{Arena, Gc, Lock, RefLock, Rootable};
use bucketmask_map::{GcMap, HashMap};
use object::{Object, ObjectSection, SectionKind};

#[global_allocator]
static ALLOCATOR: BucketAlloc = BucketAlloc::new();

/// A probe's note.
struct Note {
    /// Where the `nop` is, by the linker's word.
    address: u64,
    /// Where the linker thought that the base section is.
    base: u64,
    arguments: String,
}

/// The notes of a section, by provider and name. The format is of systemtap's `sys/sdt.h`: three addresses, three texts.
fn notes(section: &[u8]) -> BTreeMap<(String, String), Vec<Note>> {
    let mut notes = BTreeMap::<_, Vec<Note>>::new();
    let mut left = section;
    let number = |bytes: &[u8]| u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize;
    let address = |bytes: &[u8]| u64::from_ne_bytes(bytes[..8].try_into().unwrap());
    while left.len() >= 12 {
        let (name, description, kind) = (number(left), number(&left[4..]), number(&left[8..]));
        let at = 12 + name.next_multiple_of(4);
        let end = at + description.next_multiple_of(4);
        if &left[12..12 + name] == b"stapsdt\0" && kind == 3 {
            let said = &left[at..at + description];
            let mut texts =
                said[24..].split(|&byte| byte == 0).map(|text| String::from_utf8(text.to_vec()).unwrap());
            let mut text = || texts.next().unwrap();
            let key = (text(), text());
            let note = Note { address: address(said), base: address(&said[8..]), arguments: text() };
            notes.entry(key).or_default().push(note);
        }
        left = &left[end..];
    }
    notes
}

/// Runs what has probes, so that they are compiled in.
fn run() {
    let mut map = HashMap::new();
    (0..1000u64).for_each(|key| _ = map.insert(key, key));
    assert_eq!(map.get(&7), Some(&7));
    let mut arena = Arena::<Rootable![Gc<'_, RefLock<Vec<Gc<'_, Lock<u64>>>>>]>::new(|mc| {
        Gc::new(mc, RefLock::default())
    });
    arena.finish_marking();
    arena.mutate(|mc, numbers| numbers.borrow_mut(mc).push(Gc::new(mc, Lock::new(1))));
    arena.finish_cycle();
    #[expect(clippy::redundant_closure, reason = "a closure is what holds for every brand")]
    let mut arena = Arena::<Rootable![GcMap<'_, u64, Gc<'_, u64>>]>::new(|mc| GcMap::new(mc));
    arena.mutate(|mc, map| _ = map.insert(mc, 1, Gc::new(mc, 1)));
    arena.finish_cycle();
    drop((0..3000).map(|_| vec![1u8; 3000]).collect::<Vec<_>>());
    assert!(ALLOCATOR.purge() > 0);
}

#[test]
fn each_probe_has_a_note_and_is_one_nop() {
    run();
    let binary = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = object::File::parse(&*binary).unwrap();
    let section = |name: &str| file.section_by_name(name).unwrap_or_else(|| panic!("no section {name}"));
    let notes = notes(section(".note.stapsdt").data().unwrap());
    let base = section(".stapsdt.base").address();
    for (provider, name, arguments) in [
        ("bucketmask_map", "get", 2),
        ("bucketmask_map", "insert", 2),
        ("bucketmask_map", "split", 3),
        ("bucketmask_alloc", "malloc_slow", 2),
        ("bucketmask_alloc", "page_taken", 2),
        ("bucketmask_alloc", "purge_start", 1),
        ("bucketmask_alloc", "purge_end", 1),
        ("bucketmask_gc", "phase", 3),
        ("bucketmask_gc", "cycle_end", 3),
        ("bucketmask_gc", "barrier", 2),
    ] {
        let found = notes.get(&(provider.to_owned(), name.to_owned()));
        let found = found.unwrap_or_else(|| panic!("{provider}:{name} has no note"));
        let mut live = 0;
        for note in found {
            assert_eq!(note.arguments.split(' ').count(), arguments, "{provider}:{name}: {}", note.arguments);
            let address = note.address.wrapping_add(base).wrapping_sub(note.base);
            let mut sections = file.sections().filter(|section| section.kind() == SectionKind::Text);
            // Of a function that the linker left out the note is still there, and points at nothing.
            let Some(code) = sections.find_map(|section| section.data_range(address, 1).ok().flatten())
            else {
                continue;
            };
            live += 1;
            #[cfg(target_arch = "x86_64")]
            assert_eq!(code, [0x90], "{provider}:{name} at {address:#x}");
        }
        assert!(live > 0, "{provider}:{name} is nowhere in the code");
    }
}
