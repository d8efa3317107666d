//! Reports what a command waits for, once that takes longer than two seconds. Prints nothing: it emits events.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::event::{Event, Events};
use super::patience::patience;

/// A shorter wait is not mentioned.
pub(crate) const FIRST: Duration = Duration::from_secs(2);

/// Pauses until the same wait is mentioned again; the last one repeats.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
];

/// Interval between checks.
const LOOK: Duration = Duration::from_secs(1);

/// Does the work. As long as it lasts, reports `what` is waited for and since when; `None`: nothing worth mentioning.
pub(crate) fn shown<T>(
    events: &Events,
    what: impl Fn() -> Option<String>,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    scaled(patience, events, what, work)
}

async fn scaled<T>(
    scale: impl Fn(Duration) -> Duration,
    events: &Events,
    what: impl Fn() -> Option<String>,
    work: impl Future<Output = T>,
) -> T {
    let began = Instant::now();
    let mut due = scale(FIRST);
    let mut pauses = PAUSES.into_iter();
    let mut pause = FIRST;
    // Boxed, so that the callers' futures do not grow with every wait inside another one.
    let mut work = Box::pin(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(scale(LOOK)) => {}
        }
        let waited = began.elapsed();
        if waited >= due
            && let Some(what) = what()
        {
            let time = humantime::format_duration(Duration::from_secs(waited.as_secs().max(1)));
            events.emit(Event::Slow {
                text: format!("{what} ({time})"),
            });
            pause = pauses.next().unwrap_or(pause);
            due = waited + scale(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;

    /// Two seconds are 20 ms here.
    fn fast(time: Duration) -> Duration {
        time / 100
    }

    fn texts(mut receiver: UnboundedReceiver<Event>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            if let Event::Slow { text } = event {
                texts.push(text);
            }
        }
        texts
    }

    #[tokio::test]
    async fn work_that_ends_at_once_is_not_mentioned() {
        let (events, receiver) = Events::channel();
        let what = || Some("a lock".to_owned());
        let result = scaled(fast, &events, what, async { 7 }).await;
        assert_eq!((result, texts(receiver)), (7, Vec::new()));
    }

    #[tokio::test]
    async fn a_long_wait_is_mentioned_again_after_growing_pauses() {
        let (events, receiver) = Events::channel();
        let what = || Some("a lock".to_owned());
        // After 20, 120, 420 and 1020 ms.
        scaled(fast, &events, what, sleep(Duration::from_millis(900))).await;
        let texts = texts(receiver);
        assert!((2..=3).contains(&texts.len()), "{texts:?}");
        assert!(texts.iter().all(|text| text == "a lock (1s)"), "{texts:?}");
    }

    #[tokio::test]
    async fn a_wait_without_a_name_is_mentioned_once_it_has_one() {
        let (events, receiver) = Events::channel();
        let asked = Cell::new(0);
        let what = || {
            asked.set(asked.get() + 1);
            (asked.get() > 2).then(|| format!("answer {}", asked.get()))
        };
        scaled(fast, &events, what, sleep(Duration::from_millis(90))).await;
        let texts = texts(receiver);
        assert!(texts.len() <= 1, "{texts:?}");
        if let Some(text) = texts.first() {
            assert_eq!(text, "answer 3 (1s)");
        }
    }

    #[test]
    fn of_work_whose_stages_are_not_shown_only_waits_are_sent() {
        let (events, mut receiver) = Events::channel();
        let quiet = events.only_waits();
        quiet.note("x");
        quiet.emit(Event::Slow { text: "y".into() });
        assert_eq!(receiver.try_recv(), Ok(Event::Slow { text: "y".into() }));
        assert!(receiver.try_recv().is_err());
    }
}
