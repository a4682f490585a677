//! oidc-provider, started on loopback. It ends when it is dropped.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running provider.
pub(crate) struct Provider {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where it is, and what it calls itself.
    pub(crate) url: String,
}

impl Provider {
    /// Starts one; `None` where the user said that this machine can't have others' servers.
    pub(crate) fn start() -> Option<Self> {
        if keyward_tests::is_left_out("oidc-provider") {
            return None;
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = here.join("../target/tools/npm-oauth/package.json");
        assert!(
            packages.is_file(),
            "there is no oidc-provider to have tokens from: run `cargo xtask setup`, or set \
             KEYWARD_WITHOUT_SERVERS=1 to leave out what needs it"
        );
        let mut process = Command::new("node")
            .arg(here.join("issuers/provider.mjs"))
            .arg(&packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let port = loop {
            // What it says before is about itself.
            let line = read(&mut output).expect("oidc-provider starts");
            if let Some(port) = line.strip_prefix("ready ") {
                break port.to_owned();
            }
        };
        Some(Self {
            process,
            input,
            output,
            url: format!("http://127.0.0.1:{port}"),
        })
    }

    /// A token that it issues now.
    pub(crate) fn token(&mut self) -> String {
        let token = self.say("token");
        assert_eq!(token.split('.').count(), 3, "{token}");
        token
    }

    /// Has it sign with a new key from now on, and publish no other.
    pub(crate) fn rotate(&mut self) {
        assert_eq!(self.say("rotate"), "rotated");
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&mut self) -> usize {
        self.say("asked").parse().unwrap()
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn say(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        read(&mut self.output).expect("oidc-provider answers")
    }
}

fn read(output: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    let length = output.read_line(&mut line).unwrap();
    (length > 0).then(|| line.trim_end().to_owned())
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
