//! The way of one call: receive, decode, identify, read, resolve, decide, forward, answer.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use finesse_channel::Pending;
use finesse_notify::{Listener, Notification};
use finesse_policy::Decision;
use finesse_wire::Request;
use procfs::process::LimitValue;
use rustix::event::PollFlags;

use crate::answer::{Answer, BRIEF, MountFacts};
use crate::calls::{self, Detail, Event, PathCall, Trapped};
use crate::connection::Connection;
use crate::fast::{self, FastPath, Seen};
use crate::gather::Arguments;
use crate::heirs::Heirs;
use crate::mounts::{Located, Lookup, MountWatch, Mounts, News, Snapshot, full_path};
use crate::poll::poll_now;
use crate::reason::Reason;
use crate::report::{Outcome, Report};
use crate::request;
use crate::targets::{Identity, Met, Standing, Targets, Thread};
use crate::trace;
use crate::turns::Turns;
use crate::under_way::{Call, UnderWay};

/// Workers to begin with: one answers, one receives.
const FEW: usize = 2;
/// How long other calls may wait for this one before another worker receives them.
const SOON: Duration = Duration::from_micros(300);
/// The same while calls come one by one and replies soon, so that it hardly ever ends. Longer than
/// a tick of most kernels, as a timer that ends before the next tick is set in the hardware, which
/// costs some 6 µs on a virtual machine, more than the sleep itself.
const SOON_ALONE: Duration = Duration::from_millis(5);
/// Workers at the most. More than the CPUs only when some are held up.
const MANY: usize = 16;

/// What the workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) listener: Arc<Listener>,
    pub(crate) targets: Targets,
    pub(crate) mounts: Mounts,
    pub(crate) report: Arc<Report>,
    pub(crate) heirs: Heirs,
    /// `--no-bypass`: everything continues.
    pub(crate) no_bypass: bool,
    fast: Option<FastPath>,
    turns: Arc<Turns>,
    under_way: UnderWay,
    workers: AtomicUsize,
}

/// Why a call is not forwarded.
enum Stop {
    Continue(Reason),
    Refuse(i32),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Continue(reason)
    }
}

/// A posted call: with whom, where its reply will be, and what is made of that.
type Forwarded = (Arc<Connection>, Pending, Answer);

/// How a reply was waited for.
enum Awaited {
    Soon,
    /// Another worker receives meanwhile.
    Late,
    /// The same, and it has not come.
    NotYet,
}

impl Shared {
    pub(crate) fn new(
        listener: Arc<Listener>,
        targets: Targets,
        mounts: Mounts,
        report: Arc<Report>,
        heirs: Heirs,
        no_bypass: bool,
        fast: Option<FastPath>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            listener,
            targets,
            mounts,
            report,
            heirs,
            no_bypass,
            fast,
            turns: Arc::new(Turns::new()),
            under_way: UnderWay::default(),
            workers: AtomicUsize::new(0),
        })
    }

    /// Starts the first workers, and the watchdog over them.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        (0..FEW).try_for_each(|_| self.add_worker())?;
        let shared = Arc::clone(self);
        std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                let rescue = |longer| shared.under_way.rescue(longer);
                shared.turns.watch(|| shared.replace_worker(), rescue);
            })?;
        let shared = Arc::clone(self);
        if self.fast.is_some() {
            std::thread::Builder::new()
                .name("mounts".into())
                .spawn(move || shared.fast.as_ref().map(|fast| shared.watch_mounts(fast)))?;
        }
        Ok(())
    }

    /// Targets that post themselves are told of changes of mounts at once.
    fn watch_mounts(&self, fast: &FastPath) -> std::io::Result<()> {
        use rustix::event::{PollFd, poll};
        let watch = MountWatch::new()?;
        fast.look_ahead();
        loop {
            fast.take_note();
            let mounts = self.mounts.current();
            let mut fds = vec![
                PollFd::from_borrowed_fd(fast.looked(), PollFlags::IN),
                PollFd::new(&watch, PollFlags::PRI),
            ];
            let ways = mounts.path_watch();
            fds.extend(ways.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let is_news = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
            let news = News {
                table: is_news(1),
                paths: is_news(2),
            };
            drop(fds);
            // What happened inside of a directory above a mount is none.
            if news.table || mounts.paths_have_changed(news.paths) {
                fast.mounts_changed();
                self.mounts.refresh();
            }
        }
    }

    /// All workers are held up: another one receives.
    fn replace_worker(self: &Arc<Self>) {
        if self.workers.load(Ordering::Relaxed) < MANY
            && let Err(error) = self.add_worker()
        {
            tracing::debug!("cannot start another worker: {error}");
        }
    }

    fn add_worker(self: &Arc<Self>) -> std::io::Result<()> {
        let number = self.workers.fetch_add(1, Ordering::Relaxed);
        let started = Worker::new(Arc::clone(self)).and_then(|mut worker| {
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || worker.run())
        });
        if started.is_err() {
            // There may be descriptors and threads again later.
            self.workers.fetch_sub(1, Ordering::Relaxed);
        }
        started.map(drop)
    }

    /// The next notification, when it is this worker's turn.
    fn receive(&self) -> std::io::Result<Notification> {
        self.turns.begin();
        let received = self.listener.receive();
        self.turns
            .end(received.as_ref().map_or(0, Notification::tid));
        received
    }

    /// A notification that waits already, if nobody receives it.
    fn receive_waiting(&self) -> Option<Notification> {
        self.turns.take(|| {
            let listener = self.listener.as_fd();
            let waits = poll_now([Some((listener, PollFlags::IN))]).ok()?;
            let notification = match waits {
                [true] => self.listener.receive_announced().ok()??,
                [false] => return None,
            };
            let tid = notification.tid();
            Some((notification, tid))
        })
    }

    /// This worker is held up for a while.
    fn step_aside(self: &Arc<Self>) {
        if !self.turns.step_aside() {
            self.replace_worker();
        }
    }
}

/// A fault in a worker ends the workers' process, so that the guardian takes over:
/// threads that die one by one would leave calls without anybody to answer them.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// One thread that serves notifications.
struct Worker {
    shared: Arc<Shared>,
    mount_watch: MountWatch,
    arguments: Arguments,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> std::io::Result<Self> {
        Ok(Worker {
            shared,
            mount_watch: MountWatch::new()?,
            arguments: Arguments::new(),
            request: Vec::new(),
            reply: Vec::new(),
        })
    }

    fn run(&mut self) {
        let _guard = AbortOnPanic;
        loop {
            match self.shared.receive() {
                Ok(notification) => self.serve(notification),
                // The ledger is full of slow calls: more wait in the kernel meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
                    std::thread::sleep(BRIEF);
                }
                Err(error) => {
                    tracing::debug!("a worker ends: {error}");
                    return;
                }
            }
        }
    }

    fn serve(&mut self, notification: Notification) {
        let Some(call) = self.begin(notification) else {
            return;
        };
        if self.shared.turns.is_crowded() && call.connection().pace().is_quick() {
            self.shared.under_way.begin(call);
            self.serve_side_by_side();
        } else {
            self.finish(call);
        }
    }

    /// As long as others call: forwards their calls while the file system serves those before.
    fn serve_side_by_side(&mut self) {
        loop {
            let next = match self.shared.under_way.is_full() {
                false => self.shared.receive_waiting(),
                true => None,
            };
            let call = if let Some(notification) = next {
                match self.begin(notification) {
                    Some(call) if call.connection().pace().is_quick() => {
                        self.shared.under_way.add(call);
                    }
                    // The others are not to wait for a slow file system.
                    Some(call) => call.hand_over(),
                    None => {}
                }
                self.shared.under_way.over()
            } else {
                let awaited = self.shared.under_way.next();
                if awaited.is_none() {
                    return;
                }
                awaited
            };
            // Who was held up has another one receive.
            if let Some(call) = call
                && !self.finish(call)
                && self.shared.under_way.leave_to_others()
            {
                return;
            }
        }
    }

    /// Answers a notification, or forwards its call.
    fn begin(&mut self, mut notification: Notification) -> Option<Call> {
        let started = Instant::now();
        if let Some(fast) = &self.shared.fast {
            if fast::is_agents(fast.base(), notification.returns_to()) {
                return self.serve_agent(notification, started);
            }
            if fast::is_bootstraps(&notification) {
                self.serve_bootstrap(notification);
                return None;
            }
            if calls::is_start(&notification) {
                // Its exec was observed: who is remembered is this one.
                if fast.may_begin(&notification)
                    && let Ok(Met { thread, .. }) = self.shared.targets.thread(notification.tid())
                {
                    fast.begin(&notification, &thread);
                }
                notification.proceed();
                return None;
            }
        }
        match self.forward(&mut notification, started) {
            Ok((connection, pending, answer)) => {
                Some(Call::new(connection, notification, pending, answer))
            }
            Err(stop) => {
                self.stop(notification, &stop, started);
                None
            }
        }
    }

    /// The whole way of a call, a step a line.
    fn forward(
        &mut self,
        notification: &mut Notification,
        started: Instant,
    ) -> Result<Forwarded, Stop> {
        let tid = notification.tid();
        let call = self.decode(notification)?;
        within_limits(tid, &call)?;
        self.arguments.read(tid, &call)?;
        let changes = self.shared.fast.as_ref().map_or(0, FastPath::changes);
        let (Met { thread, just_now }, mounts) = self.identify(tid)?;
        let identity = may_bypass(&thread, &call)?;
        let lookup = Lookup {
            thread: &thread,
            identity,
            wants_to_write: call.wants_to_write(),
        };
        let (at, to) = locate(&mounts, lookup, &call, &self.arguments)?;
        decide(&thread, &call, &self.arguments, &at, to.as_ref())?;
        let connection = at
            .mount
            .door
            .connection(at.mount.id, &at.mount.mountpoint)?;
        let caller = connection.caller(identity)?;
        if let Some(fast) = &self.shared.fast {
            fast.consider(Seen {
                notification,
                thread: &thread,
                mount: &at.mount,
                base: at.place.base,
                changes,
            });
        }
        let place = to.as_ref().map(|to| to.place);
        let request = Request {
            caller,
            pid: thread.process().tgid(),
            umask: thread.process().umask().ok_or(Reason::TargetGone)?,
            call: request::build(&call, &self.arguments, at.place, place)
                .ok_or(Reason::Arguments)?,
        };
        request.encode(&mut self.request);
        let answer = self.prepare_answer(&call, &at, started);
        // A remembered thread was alive after its memory was read, and what is looked up
        // later is bound to it. What was looked up by number was its own if it waits now.
        if just_now && !notification.is_valid() {
            return Err(Reason::TargetGone.into());
        }
        let slot = connection
            .slot(self.request.len())
            .map_err(|_| Reason::Channel)?;
        if !call.operation.is_lookup() {
            // From here on the call may have an effect.
            notification.set_forwarded(connection.trace(&self.shared.heirs, &slot));
        }
        let pending = connection.client().post_in(slot, &self.request);
        Ok((connection, pending, answer))
    }

    fn tell_fast_path(&self, tid: u32, event: Event) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        fast.observe(&self.shared.targets, tid, event);
    }

    /// A call from the code that we put into a target.
    fn serve_agent(&mut self, notification: Notification, started: Instant) -> Option<Call> {
        let fast = self.shared.fast.as_ref()?;
        let Ok(Met { thread, .. }) = self.shared.targets.thread(notification.tid()) else {
            notification.fail(libc::EIO);
            return None;
        };
        let taken_over = fast.serve(notification, &thread)?;
        let fast::TakenOver {
            mut notification,
            connection,
            mount,
            slot,
        } = taken_over;
        notification.set_forwarded(trace::UNKNOWN);
        let Some(pending) = connection.client().adopt(slot) else {
            notification.fail(libc::EIO);
            return None;
        };
        let Ok(Trapped::Path(call)) = calls::decode(&notification) else {
            notification.fail(libc::EIO);
            return None;
        };
        let answer = Answer {
            is_taken_over: true,
            ..self.answer(&call, mount.facts(), started)
        };
        Some(Call::new(connection, notification, pending, answer))
    }

    /// A program's bootstrap asks for the agent.
    fn serve_bootstrap(&self, notification: Notification) {
        let Some(fast) = &self.shared.fast else {
            return;
        };
        // Its number may have been another process's, which was remembered.
        match self.identify(notification.tid()) {
            Ok((Met { thread, .. }, _)) => fast.serve_bootstrap(notification, &thread),
            Err(_) => notification.fail(libc::EINVAL),
        }
    }

    fn decode(&self, notification: &Notification) -> Result<PathCall, Reason> {
        match calls::decode(notification)? {
            Trapped::Path(_) if self.shared.no_bypass => Err(Reason::NoBypass),
            Trapped::Path(call) => Ok(call),
            Trapped::Event(event) => {
                let tid = notification.tid();
                if let Event::Umask(_) = event {
                    // Who else has it is found out first.
                    self.shared.targets.observe(tid, event);
                    self.tell_fast_path(tid, event);
                } else {
                    // An exec, once it is noted, makes it another process.
                    self.tell_fast_path(tid, event);
                    self.shared.targets.observe(tid, event);
                }
                Err(Reason::Event)
            }
        }
    }

    /// Who calls, and what is mounted: remembered, if the thread of that id is still the
    /// same one and there is no news of mounts, which one system call asks.
    fn identify(&self, tid: u32) -> Result<(Met, Arc<Snapshot>), Reason> {
        let met = self.shared.targets.thread(tid)?;
        let mounts = self.shared.mounts.current();
        let news = [
            Some((self.mount_watch.as_fd(), PollFlags::PRI)),
            mounts.path_watch().map(|fd| (fd, PollFlags::IN)),
            met.thread.pidfd().map(|fd| (fd, PollFlags::IN)),
        ];
        let [table, paths, is_dead] = poll_now(news).map_err(|_| Reason::TargetGone)?;
        let news = News { table, paths };
        let mounts = match self.shared.mounts.after_poll(&mounts, news) {
            None => mounts,
            Some(latest) => {
                if let Some(fast) = &self.shared.fast {
                    fast.looked_at_mounts(mounts.paths_have_changed(false));
                }
                latest
            }
        };
        let met = if is_dead {
            self.shared.targets.meet_again(tid)?
        } else {
            met
        };
        Ok((met, mounts))
    }

    fn prepare_answer(&self, call: &PathCall, at: &Located<'_>, started: Instant) -> Answer {
        self.answer(call, at.mount.facts(), started)
    }

    fn answer(&self, call: &PathCall, facts: MountFacts, started: Instant) -> Answer {
        Answer {
            started,
            report: Arc::clone(&self.shared.report),
            operation: call.operation,
            detail: call.detail,
            facts,
            is_taken_over: false,
        }
    }

    /// Waits for a reply and answers. False if that took so long that another worker receives.
    fn finish(&mut self, call: Call) -> bool {
        let awaited = self.wait_a_while(&call);
        if let Awaited::NotYet = awaited {
            call.hand_over();
        } else {
            call.collect(&mut self.reply);
        }
        matches!(awaited, Awaited::Soon)
    }

    /// Waits for a reply, but does not keep other calls waiting for long.
    fn wait_a_while(&self, call: &Call) -> Awaited {
        let (client, pending) = (call.connection().client(), call.pending());
        let pace = call.connection().pace();
        if call.is_over() {
            pace.note_at_most(call.age());
            return Awaited::Soon;
        }
        let began = Instant::now();
        let (crowded, quick) = (self.shared.turns.is_crowded(), pace.is_quick());
        // Where others wait, what will take its time is to be under way beside them.
        let leave_at_once = crowded && !quick;
        let soon = if crowded || !quick { SOON } else { SOON_ALONE };
        let awaited = if !leave_at_once && (client.spin(pending) || client.wait(pending, soon)) {
            Awaited::Soon
        } else {
            self.shared.step_aside();
            match client.wait(pending, BRIEF) {
                true => Awaited::Late,
                false => Awaited::NotYet,
            }
        };
        pace.note(began.elapsed());
        awaited
    }

    fn stop(&self, notification: Notification, stop: &Stop, started: Instant) {
        let number = notification.number();
        match *stop {
            Stop::Continue(reason) => {
                self.shared
                    .report
                    .record(number, Outcome::Continued(reason), started);
                notification.proceed();
            }
            Stop::Refuse(errno) => {
                self.shared.report.record(number, Outcome::Refused, started);
                notification.fail(errno);
            }
        }
    }
}

/// A file may not grow beyond `RLIMIT_FSIZE` (`inode_newsize_ok`, fs/attr.c); whether it would,
/// the kernel says.
fn within_limits(tid: u32, call: &PathCall) -> Result<(), Reason> {
    let Detail::Size(size) = call.detail else {
        return Ok(());
    };
    let limits = i32::try_from(tid)
        .ok()
        .and_then(|tid| procfs::process::Process::new(tid).ok()?.limits().ok());
    match limits.map(|limits| limits.max_file_size.soft_limit) {
        Some(LimitValue::Unlimited) => Ok(()),
        Some(LimitValue::Value(limit)) if size.cast_unsigned() <= limit => Ok(()),
        _ => Err(Reason::ResourceLimit),
    }
}

/// Whether calls of this thread may be bypassed at all.
fn may_bypass<'t>(thread: &'t Thread, call: &PathCall) -> Result<&'t Identity, Reason> {
    let process = thread.process();
    if process.standing() == Standing::Confined {
        return Err(Reason::Confined);
    }
    if process.policy().fixed(call.operation) == Some(Decision::Kernel) {
        return Err(Reason::Policy);
    }
    thread
        .identity()
        .map(Arc::as_ref)
        .ok_or(Reason::CallerRefused)
}

/// Where the paths lead; both into one file system.
fn locate<'a>(
    mounts: &Snapshot,
    lookup: Lookup<'_>,
    call: &PathCall,
    arguments: &'a Arguments,
) -> Result<(Located<'a>, Option<Located<'a>>), Reason> {
    let at = mounts.locate(lookup, call.first, &arguments.first)?;
    let to = call
        .second
        .map(|second| mounts.locate(lookup, second, &arguments.second))
        .transpose()?;
    // Two mounts of one file system are EXDEV to the kernel.
    if to.as_ref().is_some_and(|to| to.mount.id != at.mount.id) {
        return Err(Reason::TwoFileSystems);
    }
    Ok((at, to))
}

fn decide(
    thread: &Thread,
    call: &PathCall,
    arguments: &Arguments,
    at: &Located<'_>,
    to: Option<&Located<'_>>,
) -> Result<(), Stop> {
    let policy = thread.process().policy();
    let needs_path = policy.needs_path(call.operation);
    let path = |arg, text: &[u8]| match needs_path {
        true => full_path(thread, arg, text).map_err(|_| Reason::TargetGone),
        false => Ok(Path::new("").to_owned()),
    };
    let judged = |located: &Located<'_>, path: &Path| {
        policy.decide(&finesse_policy::Call {
            operation: call.operation,
            mount: &located.mount.mountpoint,
            path,
        })
    };
    let mut decision = judged(at, &path(call.first, &arguments.first)?);
    if let (Some(to), Some(second)) = (to, call.second) {
        decision = decision.stricter(judged(to, &path(second, &arguments.second)?));
    }
    match decision {
        Decision::Bypass => Ok(()),
        Decision::Kernel => Err(Reason::Policy.into()),
        Decision::Refuse(errno) => Err(Stop::Refuse(errno)),
    }
}
