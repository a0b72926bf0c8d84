//! Requests as text, parsed field by field into objects, then handled: routed, answered, put into the session's history.
//!
//! Owned by `barriers.rs`. Invariant: the parser writes to an object before the session can reach it; the handler after.

use bucketmask_gc::barrier::unlock;
use bucketmask_gc::{Arena, Collect, Gc, Lock, Mutation, RefLock, Rootable, Unpublished};

use super::{Counted, Elision};

/// Sessions, and requests that each keeps.
const SESSIONS: usize = 64;
const KEPT: usize = 40;

#[derive(Collect, Default)]
#[collect(no_drop)]
struct Request<'gc> {
    method: Lock<Option<Gc<'gc, String>>>,
    path: Lock<Option<Gc<'gc, String>>>,
    headers: RefLock<Vec<Gc<'gc, [String; 2]>>>,
    route: Lock<Option<Gc<'gc, String>>>,
    answer: Lock<Option<Gc<'gc, String>>>,
    before: Lock<Option<Gc<'gc, Request<'gc>>>>,
}

#[derive(Collect, Default)]
#[collect(no_drop)]
struct Session<'gc> {
    last: Lock<Option<Gc<'gc, Request<'gc>>>>,
    history: RefLock<Vec<Gc<'gc, Request<'gc>>>>,
}

#[derive(Collect)]
#[collect(no_drop)]
struct Server<'gc> {
    routes: Vec<Gc<'gc, String>>,
    sessions: Vec<Gc<'gc, Session<'gc>>>,
}

/// The text of a request.
fn text(number: u64) -> String {
    let method = ["GET", "PUT", "HEAD"][(number % 3) as usize];
    let mut text = format!("{method} /items/{} HTTP/1.1\n", number * 7919 % 1000);
    let names =
        ["Host: example.org", "Accept: text/html", "Cookie: session", "If-None-Match: 17", "Range: 0-99"];
    for name in names.iter().take(2 + (number % 4) as usize) {
        text.push_str(name);
        text.push('\n');
    }
    text
}

/// Words of the first line, and the headers.
fn parts(text: &str) -> (&str, &str, impl Iterator<Item = [String; 2]>) {
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| [name.to_owned(), value.to_owned()]);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default(), headers)
}

/// Pointers that the parser stores in so many requests.
#[cfg(test)]
pub(super) fn writes_of_the_parser(requests: u64) -> u64 {
    (0..requests).map(|number| 2 + parts(&text(number)).2.count() as u64).sum()
}

/// Each write runs its barrier.
fn parse_published<'gc>(mc: &Mutation<'gc>, text: &str) -> Gc<'gc, Request<'gc>> {
    let (method, path, headers) = parts(text);
    let request = Gc::new(mc, Request::default());
    unlock!(Gc::write(mc, request), Request, method).set(Some(Gc::new(mc, method.to_owned())));
    unlock!(Gc::write(mc, request), Request, path).set(Some(Gc::new(mc, path.to_owned())));
    for header in headers {
        let header = Gc::new(mc, header);
        unlock!(Gc::write(mc, request), Request, headers).borrow_mut().push(header);
    }
    request
}

/// No write does.
fn parse_unpublished<'gc>(mc: &Mutation<'gc>, text: &str) -> Gc<'gc, Request<'gc>> {
    let (method, path, headers) = parts(text);
    let mut request = Unpublished::new(mc, Request::default());
    *request.method.get_mut() = Some(Gc::new(mc, method.to_owned()));
    *request.path.get_mut() = Some(Gc::new(mc, path.to_owned()));
    for header in headers {
        request.headers.get_mut().push(Gc::new(mc, header));
    }
    request.publish()
}

/// What the session can reach runs barriers in either form.
fn handle<'gc>(mc: &Mutation<'gc>, server: &Server<'gc>, number: u64, request: Gc<'gc, Request<'gc>>) {
    let session = server.sessions[(number * 31) as usize % SESSIONS];
    let before = session.last.get();
    unlock!(Gc::write(mc, session), Session, last).set(Some(request));
    unlock!(Gc::write(mc, request), Request, before).set(before);
    if let Some(before) = before {
        let mut history = unlock!(Gc::write(mc, session), Session, history).borrow_mut();
        if history.len() == KEPT {
            history.remove(0);
        }
        history.push(before);
        // The history holds it from here on.
        unlock!(Gc::write(mc, before), Request, before).set(None);
    }
    let route = server.routes[request.path.get().map_or(0, |path| path.len()) % server.routes.len()];
    unlock!(Gc::write(mc, request), Request, route).set(Some(route));
    let answer = Gc::new(mc, format!("200 {number}"));
    unlock!(Gc::write(mc, request), Request, answer).set(Some(answer));
}

fn sum_of(request: &Request<'_>) -> u64 {
    let len = |text: Option<Gc<'_, String>>| text.map_or(0, |text| text.len() as u64);
    let headers = request.headers.borrow();
    let headers: usize = headers.iter().map(|header| header[0].len() * header[1].len()).sum();
    let texts = [&request.method, &request.path, &request.route, &request.answer];
    texts.iter().map(|text| len(text.get())).sum::<u64>() * 31 + headers as u64
}

/// Serves so many requests.
pub(super) fn run(requests: u64, elision: Elision) -> Counted {
    let mut arena = Arena::<Rootable![Server<'_>]>::new(|mc| Server {
        routes: ["items", "pages", "users"].map(|route| Gc::new(mc, route.to_owned())).to_vec(),
        sessions: (0..SESSIONS).map(|_| Gc::new(mc, Session::default())).collect(),
    });
    arena.count_barriers(true);
    for number in 0..requests {
        arena.mutate(|mc, server| {
            let text = text(number);
            let request = match elision {
                Elision::Off => parse_published(mc, &text),
                Elision::On => parse_unpublished(mc, &text),
            };
            handle(mc, server, number, request);
        });
        arena.collect_debt();
    }
    let sum = arena.mutate(|_, server| {
        let kept = server.sessions.iter().flat_map(|session| {
            let history = session.history.borrow();
            history.iter().copied().chain(session.last.get()).collect::<Vec<_>>()
        });
        kept.map(|request| sum_of(&request)).sum()
    });
    Counted { barriers: arena.barriers(), sum }
}
