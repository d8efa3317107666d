//! What the types of a file of mocks cannot express. All problems are found in one pass.

use std::fmt;

use super::{
    Body, Capacity, Chunks, Column, Empirical, Fault, FaultKind, Faults, Latency, Match, Mock, Mocks,
    Protocol, Quantiles, Route, WhenFull,
};

/// The largest body, in bytes. A body is in memory once for each route.
const MAX_BODY: u64 = 64 << 20;
/// The longest text of a body, in bytes, because it is rendered for each request.
const MAX_TEXT: usize = 1 << 20;
/// Columns of a table in PostgreSQL (`MaxHeapAttributeNumber`).
const MAX_COLUMNS: usize = 1600;
/// Rows of a result.
const MAX_ROWS: u32 = 1_000_000;
/// Pieces of a body.
const MAX_CHUNKS: u32 = 10_000;
/// Quantiles in a file of mocks. A file of its own may contain more.
const MAX_QUANTILES: usize = 10_000;
/// Mocks in a file.
const MAX_MOCKS: usize = 10_000;
/// Characters of a name.
const MAX_NAME: usize = 100;
/// Bytes of a pattern, a message and other short texts.
const MAX_SHORT: usize = 1000;
/// The largest sigma of a lognormal distribution; its p99 is 10^10 medians.
const MAX_SIGMA: f64 = 10.0;

/// A mistake in a file of mocks, such as `mocks.inventory.errors: the rates add up to 1.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: keys from the top of the file.
    pub subject: String,
    /// What is wrong and what to write.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

/// Collects the problems of one value.
struct Sink<'a> {
    subject: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Sink<'_> {
    fn add(&mut self, key: &str, reason: impl Into<String>) {
        let subject = match key {
            "" => self.subject.to_owned(),
            key => format!("{}.{key}", self.subject),
        };
        self.problems.push(Problem {
            subject,
            reason: reason.into(),
        });
    }

    fn unless(&mut self, good: bool, key: &str, reason: &str) {
        if !good {
            self.add(key, reason);
        }
    }
}

impl Mocks {
    /// All mistakes that the types cannot express.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=MAX_MOCKS).contains(&self.mocks.len()) {
            problems.push(Problem {
                subject: "mocks".to_owned(),
                reason: format!("there are {}, write 1 to {MAX_MOCKS}", self.mocks.len()),
            });
            return problems;
        }
        for (index, (name, mock)) in self.mocks.iter().enumerate() {
            mock.problems(name, &mut problems);
            // One is enough: with all mocks on one port there would be millions.
            let mut before = self.mocks.iter().take(index);
            if let Some((other_name, other)) = before.find(|(_, other)| mock.listen.overlaps(other.listen)) {
                problems.push(Problem {
                    subject: format!("mocks.{name}.listen"),
                    reason: format!("`{}` overlaps `{}` of `{other_name}`", mock.listen, other.listen),
                });
            }
        }
        problems
    }
}

impl Mock {
    /// All mistakes of a mock of this name.
    pub fn problems(&self, name: &str, problems: &mut Vec<Problem>) {
        let subject = format!("mocks.{name}");
        let mut sink = Sink {
            subject: &subject,
            problems,
        };
        let good_name = (1..=MAX_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        sink.unless(
            good_name,
            "",
            "a name has 1 to 100 letters, digits, dots, hyphens and underscores",
        );
        if let Some(capacity) = &self.capacity {
            check_capacity(capacity, &mut sink);
        }
        let behaviour = Behaviour {
            protocol: self.protocol,
            latency: self.latency.as_ref(),
            errors: self.errors.as_ref(),
            body: self.body.as_ref(),
            chunks: self.chunks.as_ref(),
            columns: self.columns.as_deref(),
            rows: self.rows,
        };
        behaviour.check(&mut sink);
        for (index, route) in self.routes.iter().enumerate() {
            route.problems(self.protocol, &format!("{subject}.routes[{index}]"), problems);
        }
    }
}

impl Route {
    fn problems(&self, protocol: Protocol, subject: &str, problems: &mut Vec<Problem>) {
        let mut sink = Sink { subject, problems };
        check_match(&self.matches, protocol, &mut sink);
        let behaviour = Behaviour {
            protocol,
            latency: self.latency.as_ref(),
            errors: self.errors.as_ref(),
            body: self.body.as_ref(),
            chunks: self.chunks.as_ref(),
            columns: self.columns.as_deref(),
            rows: self.rows,
        };
        behaviour.check(&mut sink);
    }
}

/// What a mock and a route have in common.
struct Behaviour<'a> {
    protocol: Protocol,
    latency: Option<&'a Latency>,
    errors: Option<&'a Faults>,
    body: Option<&'a Body>,
    chunks: Option<&'a Chunks>,
    columns: Option<&'a [Column]>,
    rows: Option<u32>,
}

impl Behaviour<'_> {
    fn check(&self, sink: &mut Sink<'_>) {
        if let Some(latency) = self.latency {
            check_latency(latency, sink);
        }
        if let Some(errors) = self.errors {
            check_faults(&errors.0, self.protocol, sink);
        }
        if let Some(body) = self.body {
            check_body(body, sink);
        }
        if let Some(chunks) = self.chunks {
            let possible = matches!(self.protocol, Protocol::Http | Protocol::Tcp);
            sink.unless(possible, "chunks", "only `http` and `tcp` send a body in pieces");
            sink.unless(
                chunks.count.get() <= MAX_CHUNKS,
                "chunks.count",
                "it is at most 10000",
            );
        }
        let tabular = self.protocol == Protocol::Postgres;
        if let Some(columns) = self.columns {
            sink.unless(tabular, "columns", "only `postgres` has columns");
            let number = (1..=MAX_COLUMNS).contains(&columns.len());
            sink.unless(number, "columns", "a result has 1 to 1600 columns");
            let named = columns
                .iter()
                .all(|column| !column.name.contains('\0') && column.name.len() <= MAX_SHORT);
            sink.unless(named, "columns", "a name has at most 1000 bytes and no NUL");
        }
        if let Some(rows) = self.rows {
            sink.unless(tabular, "rows", "only `postgres` has rows");
            sink.unless(rows <= MAX_ROWS, "rows", "a result has at most 1000000 rows");
        }
    }
}

fn check_capacity(capacity: &Capacity, sink: &mut Sink<'_>) {
    let pointless = capacity.queue.is_none() && capacity.when_full == WhenFull::Close;
    sink.unless(
        !pointless,
        "capacity.queue",
        "it is missing, and without it the queue is never full",
    );
}

fn check_latency(latency: &Latency, sink: &mut Sink<'_>) {
    match latency {
        Latency::Constant(_) | Latency::Normal(_) | Latency::Empirical(Empirical::File(_)) => {}
        Latency::Uniform(uniform) => {
            sink.unless(
                uniform.min <= uniform.max,
                "latency.uniform",
                "`min` exceeds `max`",
            );
        }
        Latency::Lognormal(lognormal) => {
            let key = "latency.lognormal";
            sink.unless(!lognormal.median.0.is_zero(), key, "`median` must not be 0");
            match (lognormal.p99, lognormal.sigma) {
                (Some(p99), None) => {
                    sink.unless(p99 >= lognormal.median, key, "`p99` is below `median`");
                }
                (None, Some(sigma)) => {
                    sink.unless((0.0..=MAX_SIGMA).contains(&sigma), key, "`sigma` is 0 to 10");
                }
                _ => sink.add(key, "write one of `p99` and `sigma`"),
            }
        }
        Latency::Empirical(Empirical::Inline(quantiles)) => {
            if let Err(reason) = check_quantiles(quantiles) {
                sink.add("latency.empirical.quantiles", reason);
            }
        }
    }
}

fn check_quantiles(quantiles: &Quantiles) -> Result<(), String> {
    if quantiles.quantiles.len() > MAX_QUANTILES {
        return Err(format!(
            "there are more than {MAX_QUANTILES}: write them into a file of their own"
        ));
    }
    crate::empirical::check_points(&quantiles.quantiles)
}

fn check_faults(faults: &[Fault], protocol: Protocol, sink: &mut Sink<'_>) {
    let mut sum = 0.0;
    for (index, fault) in faults.iter().enumerate() {
        let key = match faults.len() {
            1 => "errors".to_owned(),
            _ => format!("errors[{index}]"),
        };
        sink.unless((0.0..=1.0).contains(&fault.rate), &key, "`rate` is 0 to 1");
        sum += fault.rate;
        check_fault(fault, protocol, &key, sink);
    }
    // A sum of shares such as 0.1 may exceed 1 by rounding.
    if sum > 1.0 + 1e-9 {
        sink.add(
            "errors",
            format!("the rates add up to {sum:.3}, which is more than 1"),
        );
    }
}

fn check_fault(fault: &Fault, protocol: Protocol, key: &str, sink: &mut Sink<'_>) {
    use Protocol::{Grpc, Http, Postgres, Redis};
    match fault.kind {
        FaultKind::Status => {
            let fits = matches!(protocol, Http | Grpc);
            sink.unless(
                fits,
                key,
                "only `http` and `grpc` have a status: use another `kind`",
            );
        }
        FaultKind::Error => {
            let fits = matches!(protocol, Redis | Postgres);
            sink.unless(
                fits,
                key,
                "only `redis` and `postgres` have errors: use `kind: status`",
            );
        }
        _ => {
            let bare = fault.status.is_none() && fault.code.is_none() && fault.message.is_none();
            sink.unless(bare, key, "this kind has no `status`, `code` and `message`");
            return;
        }
    }
    match (protocol, fault.status) {
        (Http, Some(status)) if !(200..=599).contains(&status) => {
            sink.add(key, "a status of HTTP is 200 to 599");
        }
        (Grpc, Some(status)) if !(1..=16).contains(&status) => {
            sink.add(key, "a status of gRPC that is an error is 1 to 16");
        }
        (Redis | Postgres, Some(_)) => sink.add(key, "`status` is for `http` and `grpc`: use `code`"),
        _ => {}
    }
    match (protocol, fault.code.as_deref()) {
        (Redis, Some(code)) => {
            let good = (1..=20).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_uppercase());
            sink.unless(
                good,
                key,
                "`code` of Redis has 1 to 20 capital letters, such as LOADING",
            );
        }
        (Postgres, Some(code)) => {
            let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let good = code.len() == 5 && code.bytes().all(letters);
            sink.unless(good, key, "`code` of PostgreSQL is an SQLSTATE, such as 40001");
        }
        (_, Some(_)) => sink.add(key, "`code` is for `redis` and `postgres`: use `status`"),
        (_, None) => {}
    }
    if let Some(message) = &fault.message {
        let good = message.len() <= MAX_SHORT && !message.chars().any(char::is_control);
        sink.unless(good, key, "`message` is one line of at most 1000 bytes");
    }
}

fn check_body(body: &Body, sink: &mut Sink<'_>) {
    let given = [body.text.is_some(), body.size.is_some(), body.file.is_some()];
    let one = given.iter().filter(|given| **given).count() == 1;
    sink.unless(one, "body", "write one of `text`, `size` and `file`");
    let short = body.text.as_ref().is_none_or(|text| text.len() <= MAX_TEXT);
    sink.unless(short, "body.text", "it has more than 1 MiB: use `file`");
    let small = body.size.is_none_or(|size| size.0 <= MAX_BODY);
    sink.unless(small, "body.size", "it is more than 64MiB");
    let visible = |text: &String| {
        (1..=MAX_SHORT).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let good = body.content_type.as_ref().is_none_or(visible);
    sink.unless(
        good,
        "body.content_type",
        "it is printable ASCII, such as application/json",
    );
}

fn check_match(matches: &Match, protocol: Protocol, sink: &mut Sink<'_>) {
    use Protocol::{Grpc, Http, Postgres, Redis, Tcp};
    if protocol == Tcp {
        sink.add("match", "requests of `tcp` cannot be told apart: remove `routes`");
        return;
    }
    let fields = [
        ("method", matches.method.as_deref(), protocol == Http),
        ("path", matches.path.as_deref(), matches!(protocol, Http | Grpc)),
        ("command", matches.command.as_deref(), protocol == Redis),
        ("query", matches.query.as_deref(), protocol == Postgres),
    ];
    for (name, value, fits) in fields {
        let key = format!("match.{name}");
        match value {
            Some(_) if !fits => sink.add(&key, format!("`{}` has no {name}", protocol.as_str())),
            Some(value) if value.is_empty() || value.len() > MAX_SHORT => {
                sink.add(&key, "it has 1 to 1000 bytes");
            }
            Some(value) if name == "path" && !value.starts_with(['/', '*']) => {
                sink.add(&key, "a path begins with `/`");
            }
            _ => {}
        }
    }
    let nothing = fields.iter().all(|(_, value, _)| value.is_none());
    sink.unless(
        !nothing,
        "match",
        "it is empty: say which requests the route is for",
    );
}
