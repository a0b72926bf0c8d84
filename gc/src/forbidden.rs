//! What must not compile, as documentation tests. Owned by the API's soundness.
//!
//! Invariant: each test that must fail differs from the one before it, which must pass, in one thing; and names the
//! error (which a compiler with unstable features on compares).

/// A destructor could look at pointers whose targets are gone.
///
/// ```
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Quiet(u32);
/// struct Loud(u32);
/// impl Drop for Loud { fn drop(&mut self) {} }
/// ```
///
/// ```compile_fail,E0119
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Loud(u32);
/// impl Drop for Loud { fn drop(&mut self) {} }
/// ```
struct DropWithNoDrop;

/// A field that is not traced could hold a pointer.
///
/// ```
/// struct Foreign;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Holder { #[collect(require_static)] foreign: Foreign }
/// ```
///
/// ```compile_fail,E0277
/// struct Foreign;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Holder { foreign: Foreign }
/// ```
struct FieldWithoutCollect;

/// A `RefCell` takes up pointers without a barrier.
///
/// ```
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Node<'gc> { next: bucketmask_gc::RefLock<Option<bucketmask_gc::Gc<'gc, Node<'gc>>>> }
/// ```
///
/// ```compile_fail
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Node<'gc> { next: std::cell::RefCell<Option<bucketmask_gc::Gc<'gc, Node<'gc>>>> }
/// ```
struct PointerInRefCell;

/// What is not traced must be `'static`.
///
/// ```
/// use bucketmask_gc::Gc;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(require_static)]
/// struct Whole<T>(T);
/// fn check<'gc, T: bucketmask_gc::Collect<'gc>>() {}
/// fn with<'gc>() { check::<'gc, Whole<u32>>(); }
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::Gc;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(require_static)]
/// struct Whole<T>(T);
/// fn check<'gc, T: bucketmask_gc::Collect<'gc>>() {}
/// fn with<'gc>() { check::<'gc, Whole<Gc<'gc, u32>>>(); }
/// ```
///
/// ```
/// use bucketmask_gc::Gc;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Part<T> { #[collect(require_static)] part: T }
/// fn check<'gc, T: bucketmask_gc::Collect<'gc>>() {}
/// fn with<'gc>() { check::<'gc, Part<u32>>(); }
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::Gc;
/// #[derive(bucketmask_gc::Collect)]
/// #[collect(no_drop)]
/// struct Part<T> { #[collect(require_static)] part: T }
/// fn check<'gc, T: bucketmask_gc::Collect<'gc>>() {}
/// fn with<'gc>() { check::<'gc, Part<Gc<'gc, u32>>>(); }
/// ```
struct StaticThatIsNot;

/// A pointer of one arena must not be stored in another.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, GcLock, Lock, Rootable};
/// type Slot = Arena<Rootable![GcLock<'_, Option<Gc<'_, u32>>>]>;
/// let one = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// let two = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// one.mutate(|_, slot| two.mutate(|mc, other| other.set(mc, None)));
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::{Arena, Gc, GcLock, Lock, Rootable};
/// type Slot = Arena<Rootable![GcLock<'_, Option<Gc<'_, u32>>>]>;
/// let one = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// let two = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// one.mutate(|_, slot| two.mutate(|mc, other| other.set(mc, slot.get())));
/// ```
///
/// Nor may one arena's handle write to another's objects.
///
/// ```compile_fail
/// use bucketmask_gc::{Arena, Gc, GcLock, Lock, Rootable};
/// type Slot = Arena<Rootable![GcLock<'_, Option<Gc<'_, u32>>>]>;
/// let one = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// let two = Slot::new(|mc| Gc::new(mc, Lock::new(None)));
/// one.mutate(|mc, slot| two.mutate(|_, other| other.set(mc, None)));
/// ```
struct BrandsMix;

/// A pointer must not outlive its callback.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// let copied = arena.mutate(|_, root| **root);
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// let escaped = arena.mutate(|_, root| *root);
/// ```
///
/// Not as a reference, either.
///
/// ```compile_fail
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// let escaped = arena.mutate(|_, root| Gc::as_ref(*root));
/// ```
///
/// Nor leaked into the root behind a `'static` reference, where it would not be traced.
///
/// ```compile_fail
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let mut arena = Arena::<Rootable!['gc => &'static Gc<'gc, u32>]>::new(|mc| Box::leak(Box::new(Gc::new(mc, 1))));
/// arena.finish_cycle();
/// ```
struct PointerEscapes;

/// No cycle may run while a callback holds pointers.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let mut arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// arena.mutate(|_, _| ());
/// arena.finish_cycle();
/// ```
///
/// ```compile_fail,E0502
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let mut arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// arena.mutate(|_, _| arena.finish_cycle());
/// ```
struct CycleInCallback;

/// An arena stays on its thread.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// (move || drop(arena))();
/// ```
///
/// ```compile_fail,E0277
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// let arena = Arena::<Rootable![Gc<'_, u32>]>::new(|mc| Gc::new(mc, 1));
/// std::thread::spawn(move || drop(arena));
/// ```
struct ArenaIsSent;

/// A barrier holds for one object: projections must not pass pointers or references.
///
/// ```
/// use bucketmask_gc::{Gc, Lock, barrier::{Write, field}};
/// struct Node<'gc> { next: Lock<Option<Gc<'gc, u8>>>, other: Gc<'gc, Node<'gc>> }
/// fn part<'a, 'gc>(node: &'a Write<Node<'gc>>) -> &'a Write<Lock<Option<Gc<'gc, u8>>>> {
///     field!(node, Node, next)
/// }
/// ```
///
/// ```compile_fail,E0308
/// use bucketmask_gc::{Gc, Lock, barrier::{Write, field}};
/// struct Node<'gc> { next: Lock<Option<Gc<'gc, u8>>>, other: Gc<'gc, Node<'gc>> }
/// fn through_a_pointer<'a, 'gc>(node: &'a Write<Node<'gc>>) -> &'a Write<Lock<Option<Gc<'gc, u8>>>> {
///     field!(field!(node, Node, other), Node, next)
/// }
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::{Gc, Lock, barrier::{Write, field}};
/// struct Node<'gc> { next: Lock<Option<Gc<'gc, u8>>>, other: Gc<'gc, Node<'gc>> }
/// fn through_a_reference<'a, 'gc>(node: &'a Write<&'a Node<'gc>>) -> &'a Write<Lock<Option<Gc<'gc, u8>>>> {
///     field!(node, Node, next)
/// }
/// ```
///
/// ```compile_fail,E0599
/// use bucketmask_gc::{Gc, Lock};
/// struct Node<'gc> { next: Lock<Option<Gc<'gc, u8>>>, other: Gc<'gc, Node<'gc>> }
/// fn without_a_barrier<'gc>(node: &Node<'gc>) {
///     node.next.unlock().set(None);
/// }
/// ```
struct WriteWithoutBarrier;

/// A root with a destructor of its own could look at objects that are gone.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// Arena::<Rootable![Gc<'_, String>]>::new(|mc| Gc::new(mc, String::new()));
/// ```
///
/// ```compile_fail,E0277
/// use bucketmask_gc::{Arena, Gc, Rootable};
/// struct Loud<'gc>(Gc<'gc, String>);
/// impl Drop for Loud<'_> { fn drop(&mut self) { println!("{}", *self.0) } }
/// Arena::<Rootable![Loud<'_>]>::new(|mc| Loud(Gc::new(mc, String::new())));
/// ```
struct RootWithoutCollect;

/// Nor may a root that is not collectable come in by a change of roots: it could refer to itself, and be moved.
///
/// ```
/// use bucketmask_gc::{Arena, Rootable};
/// Arena::<Rootable![u32]>::new(|_| 1).map_root::<Rootable![u64]>(|_, root| u64::from(root));
/// ```
///
/// ```compile_fail,E0277
/// use bucketmask_gc::{Arena, Rootable};
/// struct Selfish<'gc>(std::cell::Cell<Option<&'gc u32>>, u32);
/// Arena::<Rootable![u32]>::new(|_| 1)
///     .map_root::<Rootable![Selfish<'_>]>(|_, root| Selfish(std::cell::Cell::new(None), root));
/// ```
struct MappedRootWithoutCollect;

/// What several owners share may hang on an object that no barrier was run on.
///
/// ```
/// use bucketmask_gc::{Arena, Gc, Lock, Rootable};
/// type Shared<'gc> = Box<Lock<Option<Gc<'gc, u32>>>>;
/// Arena::<Rootable![Gc<'_, Shared<'_>>]>::new(|mc| Gc::new(mc, Box::new(Lock::new(None)))).mutate(|mc, root| {
///     Gc::write(mc, *root).as_deref().unlock().set(Some(Gc::new(mc, 1)));
/// });
/// ```
///
/// ```compile_fail,E0521
/// use bucketmask_gc::{Arena, Gc, Lock, Rootable};
/// type Shared<'gc> = std::rc::Rc<Lock<Option<Gc<'gc, u32>>>>;
/// Arena::<Rootable![Gc<'_, Shared<'_>>]>::new(|mc| Gc::new(mc, Shared::new(Lock::new(None)))).mutate(|mc, root| {
///     Gc::write(mc, *root).as_deref().unlock().set(Some(Gc::new(mc, 1)));
/// });
/// ```
struct WriteThroughSharedPointer;

/// Nor does a reference on the stack say whose part it is.
///
/// ```
/// use bucketmask_gc::barrier::Write;
/// use bucketmask_gc::{Arena, Gc, Lock, Rootable};
/// Arena::<Rootable![Gc<'_, Lock<Option<Gc<'_, u32>>>>]>::new(|mc| Gc::new(mc, Lock::new(None))).mutate(|mc, root| {
///     let mut lock: Box<Lock<Option<Gc<'_, u32>>>> = Box::new(Lock::new(root.get()));
///     Write::from_mut(&mut lock).as_deref().unlock().set(Some(Gc::new(mc, 1)));
/// });
/// ```
///
/// ```compile_fail,E0521
/// use bucketmask_gc::barrier::Write;
/// use bucketmask_gc::{Arena, Gc, Lock, Rootable};
/// Arena::<Rootable![Gc<'_, Lock<Option<Gc<'_, u32>>>>]>::new(|mc| Gc::new(mc, Lock::new(None))).mutate(|mc, root| {
///     let mut lock: &Lock<Option<Gc<'_, u32>>> = Gc::as_ref(*root);
///     Write::from_mut(&mut lock).as_deref().unlock().set(Some(Gc::new(mc, 1)));
/// });
/// ```
struct WriteThroughReference;

/// A type that is no trait object has no one to trace it for it.
///
/// ```
/// use bucketmask_gc::collect::{DynCollect, dyn_collect};
/// trait Peeks<'gc>: DynCollect<'gc> {}
/// dyn_collect!(dyn Peeks<'gc>);
/// ```
///
/// ```compile_fail,E0119
/// use bucketmask_gc::{Gc, collect::dyn_collect};
/// struct Peeks<'gc>(Gc<'gc, String>);
/// impl Drop for Peeks<'_> { fn drop(&mut self) { println!("{}", *self.0) } }
/// dyn_collect!(Peeks<'gc>);
/// ```
struct DynCollectForSized;

/// Bounds could end the implementation that they stand in.
///
/// ```
/// use bucketmask_gc::collect::{DynCollect, dyn_collect};
/// trait Shape<'gc, T>: DynCollect<'gc> {}
/// dyn_collect!(<T> dyn Shape<'gc, T> + 'gc where T: Copy);
/// ```
///
/// ```compile_fail
/// use bucketmask_gc::collect::{DynCollect, Trace, dyn_collect};
/// trait Shape<'gc, T>: DynCollect<'gc> {}
/// trait Dummy<'gc> { fn trace<X: Trace<'gc>>(&self, cc: &mut X); }
/// dyn_collect!(<T> dyn Shape<'gc, T> + 'gc where T: Copy {} impl<'gc, T> Dummy<'gc> for dyn Shape<'gc, T> + 'gc where T: Copy);
/// ```
struct BlockAmongBounds;
