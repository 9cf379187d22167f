//! Calls that take long: a thread a connection waits for them, so that the workers do
//! not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use finesse_channel::{Client, Pending};
use finesse_notify::Notification;

use crate::answer::Answer;
use crate::worker::AbortOnPanic;

/// How often to look at what is awaited though nobody has said that it is done: a file system's
/// process that spoils its slots wakes nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A forwarded call whose reply has not come.
#[derive(Debug)]
pub(crate) struct SlowCall {
    pub(crate) notification: Notification,
    pub(crate) pending: Pending,
    pub(crate) answer: Answer,
}

/// The way to the waiting thread.
#[derive(Debug)]
pub(crate) struct SlowCalls(flume::Sender<SlowCall>);

impl SlowCalls {
    /// Starts the thread; it ends with the last sender.
    pub(crate) fn start(client: Arc<Client>) -> io::Result<SlowCalls> {
        let (sender, receiver) = flume::unbounded();
        std::thread::Builder::new()
            .name("slow-calls".into())
            .spawn(move || wait_for_all(&client, &receiver))?;
        Ok(SlowCalls(sender))
    }

    pub(crate) fn hand_over(&self, call: SlowCall, client: &Client) {
        // When the thread is gone, the call comes back and is dropped, which fails it.
        let _ = self.0.send(call);
        client.interrupt_completions();
    }
}

fn wait_for_all(client: &Client, incoming: &flume::Receiver<SlowCall>) {
    let _guard = AbortOnPanic;
    let mut waiting: Vec<SlowCall> = Vec::new();
    let mut reply = Vec::new();
    loop {
        if waiting.is_empty() {
            let Ok(call) = incoming.recv() else { return };
            waiting.push(call);
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
        if !waiting.is_empty() {
            client.wait_completions(seen, Some(LOOK_AGAIN));
        }
    }
}

fn finish(client: &Client, call: SlowCall, reply: &mut Vec<u8>) {
    let SlowCall {
        notification,
        pending,
        answer,
    } = call;
    answer.collect(client, notification, pending, reply);
}
