//! What a subscriber of the crate `tracing` hears of a collection.

use bucketmask_gc::{Arena, Budget, Gc, Rootable};
use std::fmt::{Debug, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down what it hears, a line each; the current span by its depth.
#[derive(Clone, Default)]
struct Scribe {
    lines: Arc<Mutex<Vec<String>>>,
    depth: Arc<AtomicU64>,
    spans: Arc<AtomicU64>,
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !field.name().ends_with("_nanos") && !field.name().ends_with("_bytes") {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

impl Scribe {
    fn put(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Subscriber for Scribe {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "bucketmask_gc"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.put(format!("{}{}", span.metadata().name(), fields.0));
        Id::from_u64(self.spans.fetch_add(1, Relaxed) + 1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        assert_eq!(self.depth.load(Relaxed), 1, "events lie in the span of their phase");
        self.put(format!("{}:{}", event.metadata().level(), fields.0));
    }

    fn enter(&self, _span: &Id) {
        self.depth.fetch_add(1, Relaxed);
    }

    fn exit(&self, _span: &Id) {
        self.depth.fetch_sub(1, Relaxed);
    }
}

type Numbers = Arena<Rootable![Vec<Gc<'_, u64>>]>;

fn heard(run: impl FnOnce(&mut Numbers)) -> Vec<String> {
    let mut arena = Numbers::new(|mc| (0..2000).map(|number| Gc::new(mc, number)).collect());
    arena.mutate_root(|_, root| root.truncate(500));
    let scribe = Scribe::default();
    tracing::subscriber::with_default(scribe.clone(), || run(&mut arena));
    assert_eq!(scribe.depth.load(Relaxed), 0, "spans that were entered were left");
    let lines = scribe.lines.lock().unwrap();
    lines.clone()
}

#[test]
fn a_cycle_is_a_span_a_phase() {
    let lines = heard(Arena::finish_cycle);
    assert_eq!(
        lines,
        [
            "phase phase=\"sleep\" cycle=1",
            "DEBUG: message=phase ended from=\"sleep\" to=\"mark\" objects=2000",
            "phase phase=\"mark\" cycle=1",
            "DEBUG: message=phase ended from=\"mark\" to=\"sweep\" objects=2000",
            "phase phase=\"sweep\" cycle=1",
            "INFO: message=cycle ended cycle=1 marked=500 swept=1500",
            "DEBUG: message=phase ended from=\"sweep\" to=\"sleep\" objects=500",
        ]
    );
}

#[test]
fn every_step_has_its_spans() {
    let mut steps = 0;
    let lines = heard(|arena| {
        while !arena.step(Budget::work(1)) {
            steps += 1;
            assert!(steps < 1000);
        }
    });
    let sweeps = lines.iter().filter(|line| line.starts_with("phase phase=\"sweep\" cycle=1")).count();
    assert!(steps > 3 && sweeps > 3, "{steps} steps, {sweeps} pieces of the sweep");
    assert_eq!(lines.iter().filter(|line| line.contains("cycle ended")).count(), 1);
}
