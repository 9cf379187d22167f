//! Calls that take long: a thread a connection waits for them, so that the workers do
//! not.

mod interrupts;
mod signals;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use finesse_channel::{Client, Pending};
use finesse_notify::Notification;
use parking_lot::Mutex;

use crate::answer::Answer;
use crate::worker::AbortOnPanic;

pub(crate) use interrupts::Interrupts;

/// How often to look at what is awaited though nobody has said that it is done: a file system's
/// process that spoils its slots wakes nobody. And how often to look for signals.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A forwarded call whose reply has not come.
#[derive(Debug)]
pub(crate) struct SlowCall {
    pub(crate) notification: Notification,
    pub(crate) pending: Pending,
    pub(crate) answer: Answer,
    /// Whether the file system was told that a signal has come.
    pub(crate) is_interrupted: bool,
}

/// The way to the waiting thread.
#[derive(Debug)]
pub(crate) struct SlowCalls(flume::Sender<SlowCall>);

impl SlowCalls {
    /// Starts the thread; it ends with the last sender. `interrupts`: where the file system is
    /// told of signals, if it wants to hear of them.
    pub(crate) fn start(
        client: Arc<Client>,
        interrupts: Option<Interrupts>,
    ) -> io::Result<SlowCalls> {
        let (sender, receiver) = flume::unbounded();
        std::thread::Builder::new()
            .name("slow-calls".into())
            .spawn(move || wait_for_all(&client, &receiver, interrupts.as_ref()))?;
        Ok(SlowCalls(sender))
    }

    pub(crate) fn hand_over(&self, call: SlowCall, client: &Client) {
        // When the thread is gone, the call comes back and is dropped, which fails it.
        let _ = self.0.send(call);
        client.interrupt_completions();
    }
}

fn wait_for_all(
    client: &Arc<Client>,
    incoming: &flume::Receiver<SlowCall>,
    interrupts: Option<&Interrupts>,
) {
    let _guard = AbortOnPanic;
    let mut waiting: Vec<SlowCall> = Vec::new();
    let mut reply = Vec::new();
    let mut looked = Instant::now();
    loop {
        if waiting.is_empty() {
            let Ok(call) = incoming.recv() else { return };
            waiting.push(call);
            looked = Instant::now();
        }
        // Read before the looks below: a completion in between changes it.
        let seen = client.completions();
        waiting.extend(incoming.try_iter());
        let mut index = 0;
        while index < waiting.len() {
            if client.watch(&waiting[index].pending) {
                finish(client, waiting.swap_remove(index), &mut reply);
            } else {
                index += 1;
            }
        }
        if let Some(interrupts) = interrupts
            && looked.elapsed() >= LOOK_AGAIN
        {
            waiting
                .iter_mut()
                .for_each(|call| interrupts.consider(call));
            looked = Instant::now();
        }
        if !waiting.is_empty() {
            client.wait_completions(seen, Some(LOOK_AGAIN));
        }
    }
}

/// Answers, in a thread of its own where that might hold up the others.
fn finish(client: &Arc<Client>, call: SlowCall, reply: &mut Vec<u8>) {
    if !call.answer.may_have_result() {
        return call.collect(client, reply);
    }
    // Whoever takes it out answers it: the thread, or this one when there is none to be had.
    let call = Arc::new(Mutex::new(Some(call)));
    let (theirs, their_client) = (Arc::clone(&call), Arc::clone(client));
    let spawned = std::thread::Builder::new()
        .name("slow-answer".into())
        .spawn(move || {
            let _guard = AbortOnPanic;
            let taken = theirs.lock().take();
            if let Some(call) = taken {
                call.collect(&their_client, &mut Vec::new());
            }
        });
    if let Err(error) = spawned {
        tracing::debug!("no thread for the answer to a slow call: {error}");
        let taken = call.lock().take();
        if let Some(call) = taken {
            call.collect(client, reply);
        }
    }
}

impl SlowCall {
    /// Takes the reply and answers.
    pub(crate) fn collect(self, client: &Client, reply: &mut Vec<u8>) {
        self.answer
            .collect(client, self.notification, self.pending, reply);
    }
}
