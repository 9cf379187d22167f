//! What holds for all messages, and for all bytes that pose as one.

use finesse_wire::{
    Call, CallerId, Credentials, Door, FromRuntime, FromSupervisor, MAX_ERRNO, MAX_GROUPS,
    MAX_PATH, MAX_REPLY, MAX_REQUEST, MAX_XATTR_VALUE, NodeId, NotMine, Operation, Place, Refusal,
    Reply, Request, SetTime, Stat, Statfs, TOKEN_LEN, Timestamp, Token,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Longest name of an extended attribute.
const MAX_NAME: usize = 255;

/// The variable parts of a request: two paths, a name and a value.
type Parts = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);
/// Its numbers.
type Numbers = (u64, u64, u32, u32, i64, bool, bool, SetTime, SetTime);

fn parts() -> impl Strategy<Value = Parts> {
    let path = || vec(any::<u8>(), 0..60);
    (
        path(),
        path(),
        vec(any::<u8>(), 0..30),
        vec(any::<u8>(), 0..80),
    )
}

fn set_time() -> impl Strategy<Value = SetTime> {
    prop_oneof![
        Just(SetTime::Omit),
        Just(SetTime::Now),
        (any::<i64>(), 0..1_000_000_000u32).prop_map(|(s, n)| SetTime::At(s, n)),
    ]
}

fn numbers() -> impl Strategy<Value = Numbers> {
    (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any::<i64>(),
        any::<bool>(),
        any::<bool>(),
        set_time(),
        set_time(),
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    select(Operation::all().collect::<Vec<_>>())
}

/// The call of `operation` with these arguments; the match makes a new operation fail to
/// compile here.
fn call<'a>(operation: Operation, parts: &'a Parts, numbers: Numbers) -> Call<'a> {
    let (first, second, name, value) = parts;
    let (base, base2, a, b, size, follow, effective, atime, mtime) = numbers;
    let (name, value) = (name.as_slice(), value.as_slice());
    let place = |base, path| Place {
        base: NodeId(base),
        path,
    };
    let (at, to) = (place(base, first), place(base2, second));
    let from = at;
    match operation {
        Operation::Unlink => Call::Unlink { at },
        Operation::Rmdir => Call::Rmdir { at },
        Operation::Mkdir => Call::Mkdir { at, mode: a },
        Operation::Rename => Call::Rename { from, to, flags: a },
        Operation::Link => Call::Link { from, to, follow },
        Operation::Symlink => Call::Symlink { target: second, at },
        Operation::Mknod => Call::Mknod {
            at,
            mode: a,
            rdev: b,
        },
        Operation::Chmod => Call::Chmod {
            at,
            mode: a,
            follow,
        },
        Operation::Chown => Call::Chown {
            at,
            uid: a,
            gid: b,
            follow,
        },
        Operation::Truncate => Call::Truncate { at, size },
        Operation::Utimens => Call::Utimens {
            at,
            atime,
            mtime,
            follow,
        },
        Operation::Setxattr => Call::Setxattr {
            at,
            name,
            value,
            flags: a,
            follow,
        },
        Operation::Removexattr => Call::Removexattr { at, name, follow },
        Operation::Stat => Call::Stat { at, follow },
        Operation::Access => Call::Access {
            at,
            mode: a,
            effective,
            follow,
        },
        Operation::Readlink => Call::Readlink { at },
        Operation::Getxattr => Call::Getxattr {
            at,
            name,
            size: a,
            follow,
        },
        Operation::Listxattr => Call::Listxattr {
            at,
            size: a,
            follow,
        },
        Operation::Statfs => Call::Statfs { at },
    }
}

fn request(operation: Operation, parts: &Parts, numbers: Numbers) -> Request<'_> {
    Request {
        caller: CallerId(numbers.2),
        pid: numbers.3,
        umask: u16::try_from(numbers.0 % 0o1000).unwrap(),
        call: call(operation, parts, numbers),
    }
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), any::<u32>()).prop_map(|(seconds, nanoseconds)| Timestamp {
        seconds,
        nanoseconds,
    })
}

fn stat() -> impl Strategy<Value = Stat> {
    let times = (timestamp(), timestamp(), timestamp());
    (any::<[u64; 3]>(), any::<[u32; 6]>(), times).prop_map(|(long, short, times)| {
        let [ino, size, blocks] = long;
        let [mode, nlink, uid, gid, rdev, blksize] = short;
        let (atime, mtime, ctime) = times;
        Stat {
            ino,
            size,
            blocks,
            atime,
            mtime,
            ctime,
            mode,
            nlink,
            uid,
            gid,
            rdev,
            blksize,
        }
    })
}

fn statfs() -> impl Strategy<Value = Statfs> {
    (any::<[u64; 5]>(), any::<[u32; 3]>()).prop_map(|(long, short)| {
        let [blocks, bfree, bavail, files, ffree] = long;
        let [bsize, namelen, frsize] = short;
        Statfs {
            blocks,
            bfree,
            bavail,
            files,
            ffree,
            bsize,
            namelen,
            frsize,
        }
    })
}

fn not_mine() -> impl Strategy<Value = NotMine> {
    select(vec![
        NotMine::LeavesMount,
        NotMine::HeldByKernel,
        NotMine::UnknownBase,
        NotMine::UnknownCaller,
        NotMine::Unsupported,
        NotMine::TooLarge,
        NotMine::Malformed,
        NotMine::Busy,
        NotMine::Restricted,
    ])
}

/// Each byte once, in no order (an affine permutation).
static ALL_BYTES: [u8; 256] = {
    let (mut bytes, mut at) = ([0_u8; 256], 0);
    while at < bytes.len() {
        let previous = if at == 0 { 17 } else { bytes[at - 1] };
        bytes[at] = previous.wrapping_mul(77).wrapping_add(131);
        at += 1;
    }
    bytes
};

fn reply() -> impl Strategy<Value = Reply<'static>> {
    // Static, as the reply borrows them: leaks are looked for when AddressSanitizer is.
    let bytes = (0..ALL_BYTES.len(), 0..40_usize).prop_map(|(from, len)| {
        let to = ALL_BYTES.len().min(from + len);
        Reply::Bytes(&ALL_BYTES[from..to])
    });
    prop_oneof![
        Just(Reply::Done),
        (1..=MAX_ERRNO).prop_map(Reply::Errno),
        not_mine().prop_map(Reply::NotMine),
        stat().prop_map(Reply::Stat),
        statfs().prop_map(Reply::Statfs),
        bytes,
        any::<u32>().prop_map(Reply::Size),
    ]
}

fn credentials() -> impl Strategy<Value = Credentials> {
    let groups = vec(any::<u32>(), 0..40);
    (any::<[u32; 4]>(), any::<[u32; 4]>(), any::<u64>(), groups).prop_map(
        |(uids, gids, capabilities, groups)| Credentials {
            uids,
            gids,
            capabilities,
            groups,
        },
    )
}

fn from_supervisor() -> impl Strategy<Value = FromSupervisor> {
    prop_oneof![
        (any::<u32>(), any::<u64>(), any::<[u8; TOKEN_LEN]>()).prop_map(
            |(version, features, t)| {
                FromSupervisor::Hello {
                    version,
                    features,
                    token: Token(t),
                }
            }
        ),
        (any::<u32>(), credentials()).prop_map(|(caller, credentials)| {
            FromSupervisor::Register {
                caller: CallerId(caller),
                credentials,
            }
        }),
        any::<u32>().prop_map(|caller| FromSupervisor::Forget {
            caller: CallerId(caller)
        }),
        any::<u64>().prop_map(|base| FromSupervisor::Grant { base: NodeId(base) }),
        any::<u64>().prop_map(|label| FromSupervisor::Interrupt { label }),
    ]
}

fn from_runtime() -> impl Strategy<Value = FromRuntime> {
    let refusals = vec![
        Refusal::Version,
        Refusal::Token,
        Refusal::NotAllowed,
        Refusal::Limit,
    ];
    prop_oneof![
        (any::<u32>(), any::<u64>(), any::<(u32, u32)>()).prop_map(
            |(version, features, device)| {
                FromRuntime::Welcome {
                    version,
                    features,
                    device,
                }
            }
        ),
        any::<u32>().prop_map(|caller| FromRuntime::Registered {
            caller: CallerId(caller)
        }),
        any::<u64>().prop_map(|base| FromRuntime::Granted { base: NodeId(base) }),
        select(refusals).prop_map(FromRuntime::Refused),
    ]
}

/// Bytes of some kind of message.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (operation(), parts(), numbers()).prop_map(|(o, p, n)| {
            let mut bytes = Vec::new();
            request(o, &p, n).encode(&mut bytes);
            bytes
        }),
        reply().prop_map(|r| {
            let mut bytes = Vec::new();
            r.encode(&mut bytes);
            bytes
        }),
        from_supervisor().prop_map(|m| m.encode()),
        from_runtime().prop_map(|m| m.encode()),
    ]
}

/// Decodes as everything. What is accepted is the one encoding of what was understood:
/// so no byte was skipped, and none is left over.
fn decode_as_everything(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut again = Vec::new();
    if let Ok(request) = Request::decode(bytes) {
        request.encode(&mut again);
        prop_assert_eq!(&again, bytes);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        reply.encode(&mut again);
        prop_assert_eq!(&again, bytes);
    }
    if let Ok(message) = FromSupervisor::decode(bytes) {
        prop_assert_eq!(message.encode(), bytes);
    }
    if let Ok(message) = FromRuntime::decode(bytes) {
        prop_assert_eq!(message.encode(), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn requests_come_back(parts in parts(), numbers in numbers()) {
        for operation in Operation::all() {
            let request = request(operation, &parts, numbers);
            let mut bytes = b"left over".to_vec();
            request.encode(&mut bytes);
            prop_assert_eq!(Request::decode(&bytes), Ok(request));
            prop_assert_eq!(request.call.operation(), operation);
        }
    }

    #[test]
    fn replies_come_back(reply in reply()) {
        let mut bytes = b"left over".to_vec();
        reply.encode(&mut bytes);
        prop_assert_eq!(Reply::decode(&bytes), Ok(reply));
    }

    #[test]
    fn session_messages_come_back(from in from_supervisor(), to in from_runtime()) {
        prop_assert_eq!(FromSupervisor::decode(&from.encode()), Ok(from));
        prop_assert_eq!(FromRuntime::decode(&to.encode()), Ok(to));
    }

    #[test]
    fn doors_come_back(socket in "[A-Za-z0-9-]{1,100}", token in any::<[u8; TOKEN_LEN]>()) {
        let door = Door { socket, token: Token(token) };
        prop_assert_eq!(door.to_string().parse(), Ok(door));
    }

    #[test]
    fn any_text_is_a_door_or_refused(text in "(finesse:1:)?[-a:0-9é\\x00]{0,20}:?[0-9a-fA-F]{31,33}") {
        if let Ok(door) = text.parse::<Door>() {
            // Only the token's digits may be written in two ways.
            prop_assert!(door.to_string().eq_ignore_ascii_case(&text));
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        decode_as_everything(&bytes)?;
    }

    #[test]
    fn changed_messages_are_understood_whole_or_refused(
        mut bytes in message(), changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        decode_as_everything(&bytes)?;
    }

    #[test]
    fn cut_and_lengthened_messages_are_refused(bytes in message(), cut in any::<Index>()) {
        let cut = &bytes[..cut.index(bytes.len())];
        let longer = [bytes.as_slice(), &[0]].concat();
        // Another kind of message may look like it; the own kind refuses it.
        for (whole, part) in [(&bytes, cut), (&bytes, &longer)] {
            prop_assert!(Request::decode(whole).is_err() || Request::decode(part).is_err());
            prop_assert!(Reply::decode(whole).is_err() || Reply::decode(part).is_err());
            prop_assert!(FromSupervisor::decode(whole).is_err() || FromSupervisor::decode(part).is_err());
            prop_assert!(FromRuntime::decode(whole).is_err() || FromRuntime::decode(part).is_err());
        }
    }
}

#[test]
fn the_longest_messages_fit() {
    let parts = (
        vec![b'p'; MAX_PATH],
        vec![b'q'; MAX_PATH],
        vec![b'n'; MAX_NAME],
        vec![b'v'; MAX_XATTR_VALUE],
    );
    let at = SetTime::At(i64::MIN, 999_999_999);
    let numbers = (
        u64::MAX,
        u64::MAX,
        u32::MAX,
        u32::MAX,
        i64::MAX,
        true,
        true,
        at,
        at,
    );
    let mut bytes = Vec::new();
    for operation in Operation::all() {
        let request = request(operation, &parts, numbers);
        request.encode(&mut bytes);
        assert!(bytes.len() <= MAX_REQUEST, "{operation}");
        assert_eq!(Request::decode(&bytes), Ok(request));
    }
    for reply in [
        Reply::Bytes(&parts.3),
        Reply::Stat(Stat::default()),
        Reply::Statfs(Statfs::default()),
    ] {
        reply.encode(&mut bytes);
        assert!(bytes.len() <= MAX_REPLY);
        assert_eq!(Reply::decode(&bytes), Ok(reply));
    }
}

#[test]
fn one_byte_too_many_is_refused() {
    let too_long = [
        (vec![b'p'; MAX_PATH + 1], vec![], vec![]),
        (vec![], vec![b'n'; MAX_NAME + 1], vec![]),
        (vec![], vec![], vec![b'v'; MAX_XATTR_VALUE + 1]),
    ];
    for (path, name, value) in too_long {
        let parts = (path, vec![], name, value);
        let numbers = (1, 1, 0, 0, 0, false, false, SetTime::Now, SetTime::Now);
        let mut bytes = Vec::new();
        request(Operation::Setxattr, &parts, numbers).encode(&mut bytes);
        assert!(Request::decode(&bytes).is_err());
    }
    let caller = CallerId(1);
    let register = |count| FromSupervisor::Register {
        caller,
        credentials: Credentials {
            groups: vec![0; count],
            ..Credentials::default()
        },
    };
    assert!(FromSupervisor::decode(&register(MAX_GROUPS).encode()).is_ok());
    assert!(FromSupervisor::decode(&register(MAX_GROUPS + 1).encode()).is_err());
}

#[test]
fn errnos_that_mean_more_to_the_kernel_are_refused() {
    let mut bytes = Vec::new();
    for errno in [0, 512, 516, 4095, 4096, i32::MAX] {
        Reply::Errno(errno).encode(&mut bytes);
        assert!(Reply::decode(&bytes).is_err(), "{errno}");
    }
    for errno in [1, MAX_ERRNO] {
        Reply::Errno(errno).encode(&mut bytes);
        assert_eq!(Reply::decode(&bytes), Ok(Reply::Errno(errno)));
    }
}
