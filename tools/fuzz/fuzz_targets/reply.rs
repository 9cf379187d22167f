//! Replies, as a supervisor reads them out of shared memory.
#![no_main]

use finesse_wire::Reply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reply) = Reply::decode(bytes) {
        let mut again = Vec::new();
        reply.encode(&mut again);
        assert_eq!(again, bytes);
    }
});
