//! The derive macro: what it traces and what it bounds. Owned by `gc/derive`.
//!
//! Invariant: what the macro refuses is tested beside its code, what the types refuse in `src/forbidden.rs`.

use bucketmask_gc::{Arena, Collect, Gc, Rootable};
use std::marker::PhantomData;

struct Foreign;

#[derive(Collect)]
#[collect(no_drop)]
struct Plain {
    number: i32,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Tuple<'gc>(i32, Gc<'gc, i32>);

#[derive(Collect)]
#[collect(no_drop)]
struct Unit;

#[derive(Collect)]
#[collect(no_drop)]
enum Choice<'gc> {
    Pointer(Gc<'gc, i32>),
    Both { left: Gc<'gc, i32>, right: Option<Gc<'gc, Choice<'gc>>> },
    Nothing,
}

#[derive(Collect)]
#[collect(no_drop)]
enum Never {}

#[derive(Collect)]
#[collect(require_static)]
struct Whole<T> {
    foreign: Foreign,
    value: T,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Partly<'gc, T> {
    #[collect(require_static)]
    foreign: Foreign,
    #[collect(require_static)]
    hidden: PhantomData<fn() -> T>,
    pointer: Gc<'gc, i32>,
}

#[derive(Collect)]
#[collect(unsafe_drop)]
struct Dropping<'gc> {
    pointer: Gc<'gc, i32>,
    count: std::rc::Rc<std::cell::Cell<u32>>,
}

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.count.set(self.count.get() + 1);
    }
}

#[derive(Collect)]
#[collect(no_drop, bound = "where T: Collect<'gc>")]
struct Bound<T>(T);

#[derive(Collect)]
#[collect(no_drop, bound = "")]
struct NoBound<'a, T>(Gc<'a, ()>, T)
where
    T: Collect<'a>;

#[derive(Collect)]
#[collect(no_drop, gc_lifetime = 'gc)]
struct TwoLifetimes<'gc, 'a>(Gc<'gc, &'a i32>);

#[derive(Collect)]
#[collect(no_drop)]
struct Sized2<'gc, T, const N: usize>
where
    T: 'gc,
{
    items: [Option<Gc<'gc, T>>; N],
    owned: T,
}

fn needs_trace<'gc, T: Collect<'gc>>() -> bool {
    T::NEEDS_TRACE
}

#[test]
fn needs_trace_follows_the_fields() {
    assert!(!needs_trace::<Plain>());
    assert!(needs_trace::<Tuple<'_>>());
    assert!(!needs_trace::<Unit>());
    assert!(needs_trace::<Choice<'_>>());
    assert!(!needs_trace::<Never>());
    assert!(!needs_trace::<Whole<Foreign>>());
    assert!(needs_trace::<Partly<'_, Foreign>>());
    assert!(!needs_trace::<Bound<u8>>());
    assert!(needs_trace::<Bound<Gc<'_, u8>>>());
    assert!(needs_trace::<NoBound<'_, u8>>());
    assert!(needs_trace::<TwoLifetimes<'_, '_>>());
    assert!(needs_trace::<Sized2<'_, u8, 3>>());
}

#[derive(Collect)]
#[collect(no_drop)]
struct Root<'gc> {
    tuple: Gc<'gc, Tuple<'gc>>,
    choice: Gc<'gc, Choice<'gc>>,
    partly: Gc<'gc, Partly<'gc, Foreign>>,
    sized: Gc<'gc, Sized2<'gc, i32, 2>>,
    whole: Gc<'gc, Whole<i32>>,
    plain: Plain,
    unit: Unit,
}

#[test]
fn every_field_is_traced() {
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let mut arena = Arena::<Rootable![Root<'_>]>::new(|mc| {
        let number = |value| Gc::new(mc, value);
        Gc::new(mc, Dropping { pointer: number(0), count: count.clone() });
        let end = Gc::new(mc, Choice::Pointer(number(2)));
        Root {
            tuple: Gc::new(mc, Tuple(0, number(1))),
            choice: Gc::new(mc, Choice::Both { left: number(3), right: Some(end) }),
            partly: Gc::new(mc, Partly { foreign: Foreign, hidden: PhantomData, pointer: number(4) }),
            sized: Gc::new(mc, Sized2 { items: [None, Some(number(5))], owned: 6 }),
            whole: Gc::new(mc, Whole { foreign: Foreign, value: 7 }),
            plain: Plain { number: 8 },
            unit: Unit,
        }
    });
    assert_eq!(arena.metrics().total_gc_count(), 13);
    arena.finish_cycle();
    assert_eq!(count.get(), 1, "`unsafe_drop` allows a destructor, which ran");
    assert_eq!(arena.verify().unwrap().live, 11);
    arena.mutate(|_, root| {
        let Choice::Both { left, right: Some(end) } = &*root.choice else { panic!("wrong variant") };
        let Choice::Pointer(last) = &**end else { panic!("wrong variant") };
        let numbers = [root.tuple.0, *root.tuple.1, **last, **left, *root.partly.pointer];
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let more = [*root.sized.items[1].unwrap(), root.sized.owned, root.whole.value, root.plain.number];
        assert_eq!(more, [5, 6, 7, 8]);
        let _ = (&root.partly.foreign, &root.partly.hidden, &root.whole.foreign, &root.unit, Choice::Nothing);
    });
}
