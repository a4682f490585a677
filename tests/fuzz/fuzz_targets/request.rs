//! Any bytes on the control socket: no panic, a bounded line, and a request that is
//! understood reads back as itself.
#![no_main]

use keyward_gateway::control::{Envelope, MAX_REQUEST_LINE, Request, read_request_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut source = bytes;
    if let Ok(line) = read_request_line(&mut source) {
        assert!(line.len() <= MAX_REQUEST_LINE && !line.contains(&b'\n'));
        // Not a byte of what follows has been read.
        assert_eq!(line.len() + 1 + source.len(), bytes.len());
    }
    if let Ok(envelope) = Envelope::parse(bytes) {
        let written = serde_json::to_string(&envelope.request).expect("it was read");
        let again: Request = serde_json::from_str(&written).expect("it was written");
        assert_eq!(again, envelope.request);
    }
});
