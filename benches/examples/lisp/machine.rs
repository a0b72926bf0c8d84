//! A small Lisp whose values live in an arena: lists, closures, assignment. Written for gc-arena and compiled against the
//! crate that its parent calls `gc`. The program that runs a script owns the arena. Invariant: the machine keeps its whole
//! state in the root, so that a collection can run between any two of its steps.

use std::collections::HashMap;

use super::gc::arena::{Arena, CollectionPhase};
use super::gc::barrier::unlock;
use super::gc::lock::{GcRefLock, Lock, RefLock};
use super::gc::{Collect, Gc, Mutation, Rootable};
use super::{read, read::Form};

/// Steps of the machine between two steps of the collector.
const STEPS: usize = 200;

/// A value: one word and its tag.
#[derive(Clone, Copy, Collect)]
#[collect(no_drop)]
enum Value<'gc> {
    Nil,
    Number(i64),
    /// Its place among the machine's names.
    Symbol(u32),
    Pair(Gc<'gc, Pair<'gc>>),
    Closure(Gc<'gc, Closure<'gc>>),
    Builtin(Builtin),
}

#[derive(Collect)]
#[collect(no_drop)]
struct Pair<'gc> {
    head: Lock<Value<'gc>>,
    tail: Lock<Value<'gc>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Closure<'gc> {
    parameters: Value<'gc>,
    body: Value<'gc>,
    scope: Scope<'gc>,
}

/// Names and what they stand for, and the scope around.
#[derive(Collect)]
#[collect(no_drop)]
struct Frame<'gc> {
    bindings: Vec<(u32, Value<'gc>)>,
    around: Option<Scope<'gc>>,
}

type Scope<'gc> = GcRefLock<'gc, Frame<'gc>>;

#[derive(Clone, Copy, PartialEq, Eq, Collect)]
#[collect(require_static)]
enum Builtin {
    Add,
    Subtract,
    Multiply,
    Less,
    Equal,
    Cons,
    Head,
    Tail,
    SetHead,
    SetTail,
    IsNil,
    IsPair,
    Print,
}

const BUILTINS: [(&str, Builtin); 13] = [
    ("+", Builtin::Add),
    ("-", Builtin::Subtract),
    ("*", Builtin::Multiply),
    ("<", Builtin::Less),
    ("=", Builtin::Equal),
    ("cons", Builtin::Cons),
    ("car", Builtin::Head),
    ("cdr", Builtin::Tail),
    ("set-car!", Builtin::SetHead),
    ("set-cdr!", Builtin::SetTail),
    ("null?", Builtin::IsNil),
    ("pair?", Builtin::IsPair),
    ("print", Builtin::Print),
];

/// What is to be done with a value.
#[derive(Clone, Copy, Collect)]
#[collect(no_drop)]
enum Pending<'gc> {
    If {
        branches: Value<'gc>,
        scope: Scope<'gc>,
    },
    Define {
        name: u32,
        scope: Scope<'gc>,
    },
    Assign {
        name: u32,
        scope: Scope<'gc>,
    },
    /// The rest of a body.
    Then {
        rest: Value<'gc>,
        scope: Scope<'gc>,
    },
    /// A call whose parts so far lie in `done`, the last one first.
    Call {
        done: Value<'gc>,
        rest: Value<'gc>,
        scope: Scope<'gc>,
    },
}

/// What the machine does next.
#[derive(Collect)]
#[collect(no_drop)]
enum Next<'gc> {
    Evaluate(Value<'gc>, Scope<'gc>),
    Return(Value<'gc>),
}

#[derive(Collect)]
#[collect(no_drop)]
struct Machine<'gc> {
    next: Next<'gc>,
    pending: Vec<Pending<'gc>>,
    global: Scope<'gc>,
    names: Names,
    printed: Vec<String>,
}

#[derive(Default, Collect)]
#[collect(require_static)]
struct Names {
    by_name: HashMap<String, u32>,
    all: Vec<String>,
}

impl Names {
    fn symbol(&mut self, name: &str) -> u32 {
        if let Some(&symbol) = self.by_name.get(name) {
            return symbol;
        }
        let symbol = self.all.len() as u32;
        self.all.push(name.to_owned());
        self.by_name.insert(name.to_owned(), symbol);
        symbol
    }
}

/// A script's faults, in words.
type Fault = String;

/// What a script did.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// What it printed, and the value of its last form.
    pub(crate) printed: Vec<String>,
    /// Cycles that ended while it ran.
    pub(crate) cycles: usize,
    /// The most objects that there were at once.
    pub(crate) most_objects: usize,
}

/// Runs a script to its end, with steps of the collector in between.
pub(crate) fn run(script: &str) -> Result<Ran, Fault> {
    let forms = read::forms(script)?;
    #[expect(clippy::redundant_closure, reason = "a path to a method of one brand is not general enough")]
    let mut arena = Arena::<Rootable![Machine<'_>]>::new(|mc| Machine::new(mc));
    let mut ran = Ran::default();
    for form in &forms {
        arena.mutate_root(|mc, machine| machine.start(mc, form));
        while arena.mutate_root(|mc, machine| machine.steps(mc))? {
            let slept = arena.collection_phase() == CollectionPhase::Sleeping;
            arena.collect_debt();
            let sleeps = arena.collection_phase() == CollectionPhase::Sleeping;
            ran.cycles += usize::from(!slept && sleeps);
            ran.most_objects = ran.most_objects.max(arena.metrics().total_gc_count());
        }
    }
    ran.printed = arena.mutate(|_, machine| {
        let last = if let Next::Return(value) = machine.next { machine.show(value) } else { String::new() };
        machine.printed.iter().cloned().chain([last]).collect()
    });
    Ok(ran)
}

impl<'gc> Value<'gc> {
    fn pair(mc: &Mutation<'gc>, head: Self, tail: Self) -> Self {
        Self::Pair(Gc::new(mc, Pair { head: Lock::new(head), tail: Lock::new(tail) }))
    }

    fn truth(is: bool) -> Self {
        if is { Self::Number(1) } else { Self::Nil }
    }

    fn as_pair(self) -> Result<Gc<'gc, Pair<'gc>>, Fault> {
        if let Self::Pair(pair) = self { Ok(pair) } else { Err("not a pair".into()) }
    }

    fn split(self) -> Result<(Self, Self), Fault> {
        self.as_pair().map(|pair| (pair.head.get(), pair.tail.get()))
    }

    fn symbol(self) -> Result<u32, Fault> {
        if let Self::Symbol(name) = self { Ok(name) } else { Err("not a name".into()) }
    }

    fn number(self) -> Result<i64, Fault> {
        if let Self::Number(number) = self { Ok(number) } else { Err("not a number".into()) }
    }
}

fn look_up(scope: Scope<'_>, name: u32) -> Option<Value<'_>> {
    let mut scope = Some(scope);
    while let Some(here) = scope {
        let frame = here.borrow();
        if let Some((_, value)) = frame.bindings.iter().find(|(bound, _)| *bound == name) {
            return Some(*value);
        }
        scope = frame.around;
    }
    None
}

fn assign<'gc>(mc: &Mutation<'gc>, scope: Scope<'gc>, name: u32, value: Value<'gc>) -> bool {
    let mut scope = Some(scope);
    while let Some(here) = scope {
        let place = here.borrow().bindings.iter().position(|(bound, _)| *bound == name);
        if let Some(place) = place {
            here.borrow_mut(mc).bindings[place].1 = value;
            return true;
        }
        scope = here.borrow().around;
    }
    false
}

impl<'gc> Machine<'gc> {
    fn new(mc: &Mutation<'gc>) -> Self {
        let mut names = Names::default();
        // The special forms come first, in the order of `special`.
        for name in ["quote", "if", "define", "set!", "lambda", "begin"] {
            names.symbol(name);
        }
        let bindings = BUILTINS.map(|(name, builtin)| (names.symbol(name), Value::Builtin(builtin))).to_vec();
        let global = Gc::new(mc, RefLock::new(Frame { bindings, around: None }));
        Self { next: Next::Return(Value::Nil), pending: Vec::new(), global, names, printed: Vec::new() }
    }

    fn value_of(&mut self, mc: &Mutation<'gc>, form: &Form) -> Value<'gc> {
        match form {
            Form::Number(number) => Value::Number(*number),
            Form::Name(name) => Value::Symbol(self.names.symbol(name)),
            Form::List(forms) => forms.iter().rev().fold(Value::Nil, |tail, form| {
                let head = self.value_of(mc, form);
                Value::pair(mc, head, tail)
            }),
        }
    }

    fn start(&mut self, mc: &Mutation<'gc>, form: &Form) {
        let value = self.value_of(mc, form);
        self.next = Next::Evaluate(value, self.global);
    }

    /// Some steps; whether more are to come.
    fn steps(&mut self, mc: &Mutation<'gc>) -> Result<bool, Fault> {
        for _ in 0..STEPS {
            self.next = match std::mem::replace(&mut self.next, Next::Return(Value::Nil)) {
                Next::Evaluate(value, scope) => self.evaluate(mc, value, scope)?,
                Next::Return(value) => {
                    let Some(pending) = self.pending.pop() else {
                        self.next = Next::Return(value);
                        return Ok(false);
                    };
                    self.resume(mc, pending, value)?
                }
            };
        }
        Ok(true)
    }

    fn evaluate(
        &mut self,
        mc: &Mutation<'gc>,
        value: Value<'gc>,
        scope: Scope<'gc>,
    ) -> Result<Next<'gc>, Fault> {
        let (head, rest) = match value {
            Value::Symbol(name) => {
                let found = look_up(scope, name);
                return found
                    .map(Next::Return)
                    .ok_or_else(|| format!("{} stands for nothing", self.names.all[name as usize]));
            }
            Value::Pair(pair) => (pair.head.get(), pair.tail.get()),
            other => return Ok(Next::Return(other)),
        };
        if let Value::Symbol(name) = head
            && let Some(next) = self.special(mc, name, rest, scope)?
        {
            return Ok(next);
        }
        self.pending.push(Pending::Call { done: Value::Nil, rest, scope });
        Ok(Next::Evaluate(head, scope))
    }

    /// A special form; None for a call.
    fn special(
        &mut self,
        mc: &Mutation<'gc>,
        name: u32,
        rest: Value<'gc>,
        scope: Scope<'gc>,
    ) -> Result<Option<Next<'gc>>, Fault> {
        Ok(Some(match name {
            0 => Next::Return(rest.split()?.0),
            1 => {
                let (condition, branches) = rest.split()?;
                self.pending.push(Pending::If { branches, scope });
                Next::Evaluate(condition, scope)
            }
            2 | 3 => {
                let (target, rest) = rest.split()?;
                let name_of = target.symbol()?;
                self.pending.push(if name == 2 {
                    Pending::Define { name: name_of, scope }
                } else {
                    Pending::Assign { name: name_of, scope }
                });
                Next::Evaluate(rest.split()?.0, scope)
            }
            4 => {
                let (parameters, body) = rest.split()?;
                Next::Return(Value::Closure(Gc::new(mc, Closure { parameters, body, scope })))
            }
            5 => self.body(rest, scope)?,
            _ => return Ok(None),
        }))
    }

    /// The forms of a body in turn; the last one in place of the body, so that loops take no room.
    fn body(&mut self, body: Value<'gc>, scope: Scope<'gc>) -> Result<Next<'gc>, Fault> {
        let Value::Pair(_) = body else { return Ok(Next::Return(Value::Nil)) };
        let (first, rest) = body.split()?;
        if let Value::Pair(_) = rest {
            self.pending.push(Pending::Then { rest, scope });
        }
        Ok(Next::Evaluate(first, scope))
    }

    fn resume(
        &mut self,
        mc: &Mutation<'gc>,
        pending: Pending<'gc>,
        value: Value<'gc>,
    ) -> Result<Next<'gc>, Fault> {
        match pending {
            Pending::If { branches, scope } => {
                let (then, otherwise) = branches.split()?;
                match (value, otherwise) {
                    (Value::Nil, Value::Nil) => Ok(Next::Return(Value::Nil)),
                    (Value::Nil, _) => Ok(Next::Evaluate(otherwise.split()?.0, scope)),
                    _ => Ok(Next::Evaluate(then, scope)),
                }
            }
            Pending::Define { name, scope } => {
                scope.borrow_mut(mc).bindings.push((name, value));
                Ok(Next::Return(Value::Symbol(name)))
            }
            Pending::Assign { name, scope } => {
                if assign(mc, scope, name, value) {
                    return Ok(Next::Return(value));
                }
                Err(format!("{} stands for nothing", self.names.all[name as usize]))
            }
            Pending::Then { rest, scope } => self.body(rest, scope),
            Pending::Call { done, rest, scope } => {
                let done = Value::pair(mc, value, done);
                if let Value::Pair(_) = rest {
                    let (first, rest) = rest.split()?;
                    self.pending.push(Pending::Call { done, rest, scope });
                    return Ok(Next::Evaluate(first, scope));
                }
                self.call(mc, done)
            }
        }
    }

    /// A call of which all parts lie in `done`, the last argument first.
    fn call(&mut self, mc: &Mutation<'gc>, done: Value<'gc>) -> Result<Next<'gc>, Fault> {
        let mut parts = Vec::new();
        let mut left = done;
        while let Value::Pair(pair) = left {
            parts.push(pair.head.get());
            left = pair.tail.get();
        }
        let callee = parts.pop().ok_or("an empty call")?;
        parts.reverse();
        match callee {
            Value::Builtin(builtin) => self.builtin(mc, builtin, &parts).map(Next::Return),
            Value::Closure(closure) => {
                let mut bindings = Vec::with_capacity(parts.len());
                let mut parameters = closure.parameters;
                for argument in parts {
                    let (name, rest) = parameters.split().map_err(|_| "too many arguments")?;
                    bindings.push((name.symbol()?, argument));
                    parameters = rest;
                }
                if let Value::Pair(_) = parameters {
                    return Err("too few arguments".into());
                }
                let frame = Frame { bindings, around: Some(closure.scope) };
                self.body(closure.body, Gc::new(mc, RefLock::new(frame)))
            }
            _ => Err("called what is no procedure".into()),
        }
    }

    fn builtin(
        &mut self,
        mc: &Mutation<'gc>,
        builtin: Builtin,
        arguments: &[Value<'gc>],
    ) -> Result<Value<'gc>, Fault> {
        match (builtin, arguments) {
            (Builtin::Add, [a, b]) => Ok(Value::Number(a.number()?.wrapping_add(b.number()?))),
            (Builtin::Subtract, [a, b]) => Ok(Value::Number(a.number()?.wrapping_sub(b.number()?))),
            (Builtin::Multiply, [a, b]) => Ok(Value::Number(a.number()?.wrapping_mul(b.number()?))),
            (Builtin::Less, [a, b]) => Ok(Value::truth(a.number()? < b.number()?)),
            (Builtin::Equal, [a, b]) => Ok(Value::truth(a.number()? == b.number()?)),
            (Builtin::Cons, [head, tail]) => Ok(Value::pair(mc, *head, *tail)),
            (Builtin::Head, [pair]) => Ok(pair.split()?.0),
            (Builtin::Tail, [pair]) => Ok(pair.split()?.1),
            (Builtin::SetHead, [pair, value]) => {
                unlock!(Gc::write(mc, pair.as_pair()?), Pair, head).set(*value);
                Ok(*value)
            }
            (Builtin::SetTail, [pair, value]) => {
                unlock!(Gc::write(mc, pair.as_pair()?), Pair, tail).set(*value);
                Ok(*value)
            }
            (Builtin::IsNil, [value]) => Ok(Value::truth(matches!(value, Value::Nil))),
            (Builtin::IsPair, [value]) => Ok(Value::truth(matches!(value, Value::Pair(_)))),
            (Builtin::Print, [value]) => {
                let text = self.show(*value);
                self.printed.push(text);
                Ok(*value)
            }
            _ => Err("a wrong number of arguments".into()),
        }
    }

    fn show(&self, value: Value<'gc>) -> String {
        match value {
            Value::Nil => "()".into(),
            Value::Number(number) => number.to_string(),
            Value::Symbol(name) => self.names.all[name as usize].clone(),
            Value::Closure(_) | Value::Builtin(_) => "<procedure>".into(),
            Value::Pair(_) => {
                let (mut parts, mut left) = (Vec::new(), value);
                while let Value::Pair(pair) = left {
                    parts.push(self.show(pair.head.get()));
                    left = pair.tail.get();
                }
                if !matches!(left, Value::Nil) {
                    parts.extend([".".into(), self.show(left)]);
                }
                format!("({})", parts.join(" "))
            }
        }
    }
}
