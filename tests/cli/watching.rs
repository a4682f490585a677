//! `keyward test --watch`, in a terminal that stays open.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::binary;

/// Long, because the machine may be busy; what is waited for comes at once otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

const SUITE: &str = r#"
policy = "attach-api-key.wasm"
[[case]]
name = "nothing is granted"
request = { path = "/" }
expect = { status = 502 }
"#;

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(folder: &std::path::Path) -> Self {
        let mut child = binary::keyward(folder, &["test", "--watch"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = sync_channel(1000);
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let also = tell.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                let _ = also.send(line);
            }
        });
        Self { child, lines }
    }

    /// Reads until a line has this in it.
    fn until(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("nothing said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_changed_suite_and_a_changed_component_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let built = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies");
    let component = folder.path().join("attach-api-key.wasm");
    let suite = folder.path().join("watched.test.toml");
    std::fs::copy(built.join("attach-api-key.wasm"), &component).unwrap();
    std::fs::write(&suite, SUITE).unwrap();

    let watching = Watching::start(folder.path());
    watching.until("1 passed");

    std::fs::write(&suite, SUITE.replace("502", "200")).unwrap();
    watching.until("1 failed");

    std::fs::write(&suite, SUITE).unwrap();
    watching.until("1 passed");

    std::fs::write(&component, "no component any more").unwrap();
    watching.until("1 suite broken");
}
