//! Receiving notifications and answering them.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::ledger::{ENTRIES, Ledger};

/// `AUDIT_ARCH_X86_64` (linux/audit.h).
const ARCH_X86_64: u32 = 0xC000_003E;
/// `AUDIT_ARCH_I386`.
const ARCH_I386: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT` (asm/unistd.h): an x32 call under the same architecture number.
const X32_BIT: i32 = 0x4000_0000;

/// The descriptor that notifications come from.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    ledger: Arc<Ledger>,
    /// Ledger entries in nobody's hands; the one used last is taken first.
    free: Mutex<Vec<usize>>,
}

/// The calling convention of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abi {
    /// x86-64.
    X86_64,
    /// x86-64 with 32-bit pointers, which most kernels do not have.
    X32,
    /// 32-bit programs, and `int 0x80` in others.
    I386,
    /// None that this system has.
    Other,
}

/// A thread waits in a system call for an answer.
#[derive(Debug)]
#[must_use = "dropping a notification continues the call in the kernel"]
pub struct Notification {
    listener: Arc<Listener>,
    entry: usize,
    notif: libc::seccomp_notif,
    forwarded: bool,
    answered: bool,
}

/// A notification that a killed process left unanswered. It stays in the ledger until it is
/// answered, so that another process can find it when this one is killed too.
#[derive(Debug)]
#[must_use = "its thread waits for an answer"]
pub struct Orphan {
    entry: usize,
    id: u64,
    trace: Option<NonZeroU64>,
    returns_to: u64,
}

impl Listener {
    /// Takes over a descriptor from [`crate::Filter::install`]. `ledger` must be used by
    /// no other listener that receives.
    pub fn new(fd: OwnedFd, ledger: Arc<Ledger>) -> Self {
        Listener {
            fd,
            ledger,
            free: Mutex::new((0..ENTRIES).rev().collect()),
        }
    }

    /// Asks the kernel to wake the target on the CPU of the answering thread and the other
    /// way round (Linux 6.6): the hand-over then costs a switch, not a wake-up.
    ///
    /// # Errors
    /// On kernels that do not know the flag; everything works without.
    pub fn set_sync_wake_up(&self) -> io::Result<()> {
        const SYNC_WAKE_UP: u64 = 1;
        // SAFETY: the request takes its flags by value.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Waits for the next notification. Kernels before 6.11 block even when all filtered
    /// threads are gone; poll(2) tells that by `POLLHUP`.
    ///
    /// # Errors
    /// What the kernel answers: `ENOENT` once all filtered threads are gone. Not `EINTR`, nor
    /// the `ENOENT` of a thread that died meanwhile. `OutOfMemory` when the ledger is full.
    pub fn receive(self: &Arc<Self>) -> io::Result<Notification> {
        loop {
            match self.receive_once() {
                Err(error) if is_passing(&error) && !self.has_ended() => {}
                received => return received,
            }
        }
    }

    /// The notification that poll(2) has announced by `POLLIN`; none when its thread died
    /// meanwhile. Does not wait for another one then.
    ///
    /// # Errors
    /// As for [`Listener::receive`].
    pub fn receive_announced(self: &Arc<Self>) -> io::Result<Option<Notification>> {
        match self.receive_once() {
            Err(error) if is_passing(&error) => Ok(None),
            received => received.map(Some),
        }
    }

    fn receive_once(self: &Arc<Self>) -> io::Result<Notification> {
        let entry = self.lock_free().pop().ok_or(io::ErrorKind::OutOfMemory)?;
        let notif = self.ledger.prepare(entry);
        // SAFETY: `notif` points to a zeroed `seccomp_notif` that this thread owns.
        let result =
            unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, notif) };
        if result == 0 {
            return Ok(Notification {
                listener: Arc::clone(self),
                entry,
                notif: self.ledger.read(entry),
                forwarded: false,
                answered: false,
            });
        }
        let error = io::Error::last_os_error();
        self.lock_free().push(entry);
        Err(error)
    }

    /// Whether the last filtered thread is gone.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::empty())];
        let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
        poll(&mut fds, PollTimeout::ZERO).is_ok()
            && fds[0].revents().is_some_and(|news| news.intersects(ended))
    }

    /// What a dead process left behind. Call only once that process is gone, and before
    /// this one receives.
    pub fn orphans(&self) -> Vec<Orphan> {
        let orphans: Vec<_> = self
            .ledger
            .orphans()
            .map(|(entry, id, trace)| Orphan {
                entry,
                id,
                trace,
                returns_to: self.ledger.read(entry).data.instruction_pointer,
            })
            .collect();
        self.lock_free()
            .retain(|entry| orphans.iter().all(|orphan| orphan.entry != *entry));
        orphans
    }

    /// Continues an orphan in the kernel.
    pub fn continue_orphan(&self, orphan: Orphan) {
        self.answer_orphan(orphan, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    }

    /// Makes an orphan return 0.
    pub fn succeed_orphan(&self, orphan: Orphan) {
        self.answer_orphan(orphan, 0, 0);
    }

    /// Makes an orphan fail with `errno`, a positive number.
    pub fn fail_orphan(&self, orphan: Orphan, errno: i32) {
        self.answer_orphan(orphan, -errno, 0);
    }

    #[expect(clippy::needless_pass_by_value, reason = "an orphan is answered once")]
    fn answer_orphan(&self, orphan: Orphan, error: i32, flags: libc::c_ulong) {
        self.send(orphan.id, 0, error, flags);
        self.ledger.clear(orphan.entry);
        self.lock_free().push(orphan.entry);
    }

    /// Sends an answer. A thread that died meanwhile (`ENOENT`) needs none.
    fn send(&self, id: u64, val: i64, error: i32, flags: libc::c_ulong) {
        let mut response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags: u32::try_from(flags).unwrap_or(0),
        };
        loop {
            // SAFETY: `response` is a valid `seccomp_notif_resp` for the length of the call.
            let result = unsafe {
                libc::ioctl(
                    self.fd.as_raw_fd(),
                    libc::SECCOMP_IOCTL_NOTIF_SEND,
                    &raw mut response,
                )
            };
            // A signal (SIGSTOP, a tracer, the freezer) while another thread had the filter's
            // lock: `mutex_lock_interruptible`. Nothing was sent.
            if result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return;
            }
        }
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the next attempt may succeed: a signal came, or the thread died that had called.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT))
}

impl Orphan {
    /// Where the call went when it may have had an effect already: then it must not be
    /// executed again.
    pub fn trace(&self) -> Option<NonZeroU64> {
        self.trace
    }

    /// As [`Notification::returns_to`].
    pub fn returns_to(&self) -> u64 {
        self.returns_to
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Notification {
    /// Thread id of the waiting thread, in this process's pid namespace; 0 when the thread
    /// is not visible there.
    pub fn tid(&self) -> u32 {
        self.notif.pid
    }

    /// The call's ABI.
    pub fn abi(&self) -> Abi {
        match self.notif.data.arch {
            ARCH_X86_64 if self.notif.data.nr & X32_BIT == 0 => Abi::X86_64,
            ARCH_X86_64 => Abi::X32,
            ARCH_I386 => Abi::I386,
            _ => Abi::Other,
        }
    }

    /// The call's number in its ABI, that of x32 without the bit that marks it.
    pub fn number(&self) -> i32 {
        match self.abi() {
            Abi::X32 => self.notif.data.nr & !X32_BIT,
            _ => self.notif.data.nr,
        }
    }

    /// Where the thread goes on after the call.
    pub fn returns_to(&self) -> u64 {
        self.notif.data.instruction_pointer
    }

    /// Gives the target a copy of a descriptor, close-on-exec; returns its number there.
    ///
    /// # Errors
    /// What `SECCOMP_IOCTL_NOTIF_ADDFD` answers.
    pub fn add_descriptor(&self, fd: BorrowedFd<'_>) -> io::Result<u32> {
        self.add(fd, 0)
    }

    fn add(&self, fd: BorrowedFd<'_>, flags: u32) -> io::Result<u32> {
        let request = libc::seccomp_notif_addfd {
            id: self.notif.id,
            flags,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: libc::O_CLOEXEC.cast_unsigned(),
        };
        // SAFETY: `request` is valid for the length of the call, which reads it.
        let number = unsafe {
            libc::ioctl(
                self.listener.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                &raw const request,
            )
        };
        u32::try_from(number).map_err(|_| io::Error::last_os_error())
    }

    /// The six argument registers.
    pub fn args(&self) -> [u64; 6] {
        self.notif.data.args
    }

    /// Whether the thread still waits. What was read from its memory or from /proc since
    /// the notification came was then really its own (seccomp_unotify(2)).
    pub fn is_valid(&self) -> bool {
        // SAFETY: the request reads one u64, which outlives the call.
        let result = unsafe {
            libc::ioctl(
                self.listener.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const self.notif.id,
            )
        };
        result == 0
    }

    /// Says that the call may have an effect from now on: it is never continued then, not
    /// even when this process dies. `trace` tells whoever finds it where it went
    /// ([`Orphan::trace`]).
    pub fn set_forwarded(&mut self, trace: NonZeroU64) {
        self.forwarded = true;
        self.listener.ledger.set_trace(self.entry, Some(trace));
    }

    /// Says that the call had no effect and will have none.
    pub fn set_without_effect(&mut self) {
        self.listener.ledger.set_trace(self.entry, None);
        self.forwarded = false;
    }

    /// Lets the kernel execute the call.
    pub fn proceed(mut self) {
        self.answer(0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE);
    }

    /// Makes the call return `value`.
    pub fn succeed(mut self, value: i64) {
        self.answer(value, 0, 0);
    }

    /// Makes the call return the number of a copy of `fd` that the target gets, close-on-exec:
    /// it gets both or none.
    ///
    /// # Errors
    /// What `SECCOMP_IOCTL_NOTIF_ADDFD` answers; the call is continued.
    pub fn succeed_with_descriptor(mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        /// `SECCOMP_ADDFD_FLAG_SEND` (linux/seccomp.h).
        const SEND: u32 = 1 << 1;
        self.add(fd, SEND)?;
        self.answered = true;
        Ok(())
    }

    /// Makes the call fail with `errno`, a positive number.
    pub fn fail(mut self, errno: i32) {
        self.answer(0, -errno, 0);
    }

    fn answer(&mut self, val: i64, error: i32, flags: libc::c_ulong) {
        self.answered = true;
        self.listener.send(self.notif.id, val, error, flags);
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        if !self.answered {
            if self.forwarded {
                self.answer(0, -libc::EIO, 0);
            } else {
                self.answer(0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE);
            }
        }
        self.listener.ledger.clear(self.entry);
        self.listener.lock_free().push(self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use crate::{Filter, Trap};

    const SOON: Duration = Duration::from_secs(20);

    /// A thread under a filter that traps getppid(2), which it calls as often as it is told.
    struct Target {
        listener: Arc<Listener>,
        thread: JoinHandle<()>,
        calls: Sender<()>,
        results: Receiver<i64>,
    }

    fn target() -> Target {
        let ((calls, told), (tell, results)) = (mpsc::channel(), mpsc::channel());
        let (give, listener) = mpsc::channel();
        let thread = thread::spawn(move || {
            let number = i32::try_from(libc::SYS_getppid).unwrap();
            let trap = Trap { number, when: None };
            nix::sys::prctl::set_no_new_privs().unwrap();
            let filter = Filter::build(&[trap], &[]).unwrap();
            give.send(filter.install().unwrap()).unwrap();
            while told.recv().is_ok() {
                // SAFETY: getppid takes nothing and changes nothing.
                let result = unsafe { libc::syscall(libc::SYS_getppid) };
                let _ = tell.send(result);
            }
        });
        let ledger = Arc::new(Ledger::new().unwrap());
        let fd = listener.recv().unwrap();
        Target {
            listener: Arc::new(Listener::new(fd, ledger)),
            thread,
            calls,
            results,
        }
    }

    impl Target {
        fn call(&self) {
            self.calls.send(()).unwrap();
        }

        /// Waits until its call is announced.
        fn wait(&self) {
            let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::NONE), Ok(1));
        }
    }

    extern "C" fn nothing(_: libc::c_int) {}

    /// From now on the signal interrupts.
    fn handle(signal: libc::c_int) {
        let handler = nothing as extern "C" fn(libc::c_int);
        // SAFETY: zeroes are a valid `sigaction`: no flags, so calls are not restarted.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        // SAFETY: a valid action, whose handler does nothing.
        let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_call_that_was_interrupted_is_not_waited_for() {
        use std::os::unix::thread::JoinHandleExt;
        handle(libc::SIGURG);
        let target = target();
        target.call();
        target.wait();
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(target.thread.as_pthread_t(), libc::SIGURG) };
        assert_eq!(target.results.recv(), Ok(-1));
        let (tell, told) = mpsc::channel();
        let listener = Arc::clone(&target.listener);
        thread::spawn(move || tell.send(listener.receive_announced().unwrap().is_none()));
        assert_eq!(told.recv_timeout(SOON), Ok(true));
        // The next one is received as ever.
        target.call();
        target.wait();
        let next = target.listener.receive_announced().unwrap();
        next.expect("a call").succeed(7);
        assert_eq!(target.results.recv(), Ok(7));
    }

    #[test]
    fn the_end_of_all_threads_ends_the_waiting() {
        let target = target();
        let (tell, told) = mpsc::channel();
        let listener = Arc::clone(&target.listener);
        thread::spawn(move || tell.send(listener.receive().map(drop)));
        drop(target.calls);
        target.thread.join().unwrap();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
        if [6, 11] > [(); 2].map(|()| numbers.next().unwrap_or(0)) {
            println!("skipped: Linux {release} wakes nobody then");
            return;
        }
        let end = told.recv_timeout(SOON).expect("an end");
        assert_eq!(end.unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn orphans_keep_their_entries_until_they_are_answered() {
        let ledger = Arc::new(Ledger::new().unwrap());
        for (entry, id) in [(0, 7), (5, 8)] {
            // SAFETY: a valid pointer into the ledger, which nobody else uses.
            unsafe { (*ledger.prepare(entry)).id = id };
        }
        ledger.set_trace(5, NonZeroU64::new(9));
        // Answers to no listener fail, as those to threads that have died.
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        let first = Listener::new(null(), Arc::clone(&ledger));
        let second = Listener::new(null(), Arc::clone(&ledger));
        let mut orphans = first.orphans();
        let shown = |orphan: &Orphan| (orphan.id, orphan.trace().map(NonZeroU64::get));
        let all: Vec<_> = orphans.iter().map(shown).collect();
        assert_eq!(all, [(7, None), (8, Some(9))]);
        assert_eq!(first.lock_free().len(), ENTRIES - 2);
        assert!(
            [0, 5]
                .iter()
                .all(|entry| !first.lock_free().contains(entry))
        );
        // Whoever comes next finds what is left.
        first.continue_orphan(orphans.remove(0));
        assert!(first.lock_free().contains(&0));
        let left: Vec<_> = second.orphans().iter().map(shown).collect();
        assert_eq!(left, [(8, Some(9))]);
    }
}
