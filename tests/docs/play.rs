//! Does what a document says, from its top to its end, in a folder of its own.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use snapbox::{Assert, Data};

use crate::binary;
use crate::block::{Block, blocks};
use crate::normal;

/// The ports that documents name. Others stand in for them, that are free.
const PORTS: [&str; 2] = ["8080", "9000"];

/// Plays a document and compares what its commands print with what it says they do.
/// `SNAPSHOTS=overwrite` writes that into the document instead; read the difference.
#[track_caller]
pub(crate) fn check(document: &Path) {
    check_in(document, |_| Vec::new());
}

/// The same where something is in the folder beforehand (programs in `bin`), and texts
/// stand in for others.
#[track_caller]
pub(crate) fn check_in(document: &Path, prepare: impl FnOnce(&Path) -> Vec<(String, String)>) {
    let before = fs::read_to_string(document).unwrap();
    let after = play(&before, &document.display().to_string(), prepare);
    if std::env::var_os("SNAPSHOTS").is_some_and(|action| action == "overwrite") {
        fs::write(document, after).unwrap();
        return;
    }
    Assert::new()
        .normalize_paths(false)
        .eq(after, Data::from(before));
}

/// Plays a text; returns it with what its commands print.
#[track_caller]
pub(crate) fn play(
    before: &str,
    name: &str,
    prepare: impl FnOnce(&Path) -> Vec<(String, String)>,
) -> String {
    let mut world = World::new();
    world.instead = prepare(world.root.path());
    let mut after = String::new();
    let mut at = 0;
    for block in blocks(before) {
        let place = format!("{name}:{}", block.line);
        after.push_str(&before[at..block.span.start]);
        after.push_str(&world.block(&block, &place));
        at = block.span.end;
    }
    after.push_str(&before[at..]);
    after
}

struct World {
    root: tempfile::TempDir,
    /// Where the next command runs.
    folder: PathBuf,
    /// What stands in for each port.
    ports: Vec<(&'static str, String)>,
    /// What else stands in for what.
    instead: Vec<(String, String)>,
    running: Vec<Running>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // Bound all at once, so that no two are one.
        let free: Vec<TcpListener> = PORTS
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports = free.iter().zip(PORTS).map(|(listener, port)| {
            let instead = listener.local_addr().unwrap().port().to_string();
            (port, instead)
        });
        Self {
            folder: root.path().to_owned(),
            ports: ports.collect(),
            instead: Vec::new(),
            running: Vec::new(),
            root,
        }
    }

    /// Does what a block says; returns the block as it should be.
    fn block(&mut self, block: &Block, place: &str) -> String {
        if let Some(file) = block.said("file") {
            let file = self.folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, self.inward(&block.text)).unwrap();
        } else if let Some(file) = block.said("append") {
            let file = OpenOptions::new().append(true).open(self.folder.join(file));
            let text = self.inward(&block.text);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }
        if block.language() != "console" {
            return block.text.clone();
        }
        let commands = commands(&block.text);
        assert!(!commands.is_empty(), "{place}: there is no command");
        if block.is("serve") {
            for (_, command) in commands {
                let running = Running::begin(self.shell(&format!("{{ {command}\n}} 2>&1")), place);
                self.running.push(running);
            }
            return block.text.clone();
        }
        let mut shown = String::new();
        let last = commands.len() - 1;
        for (number, (written, command)) in commands.into_iter().enumerate() {
            let wanted = block.said("exit").filter(|_| number == last);
            let wanted: i32 = wanted.map_or(0, |code| code.parse().unwrap());
            let (code, output) = self.run(&command);
            assert_eq!(code, Some(wanted), "{place}: {command}\n{output}");
            shown.push_str(&written);
            shown.push_str(&output);
        }
        shown
    }

    /// Runs a command to its end; what it changes to is where the next one runs.
    fn run(&mut self, command: &str) -> (Option<i32>, String) {
        let state = self.root.path().join(".folder");
        let command = format!(
            "{{ {command}\n}} 2>&1; code=$?; pwd > '{}'; exit $code",
            state.display()
        );
        let output = self.shell(&command).stdin(Stdio::null()).output().unwrap();
        if let Ok(folder) = fs::read_to_string(&state) {
            self.folder = PathBuf::from(folder.trim_end_matches('\n'));
        }
        let said = [output.stdout, output.stderr].concat();
        let mut said = self.outward(&normal::text(said, self.root.path()));
        if !said.is_empty() && !said.ends_with('\n') {
            said.push('\n');
        }
        (output.status.code(), said)
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = binary::clean("/bin/sh", &self.folder);
        shell.args(["-c", &self.inward(command)]);
        // What builds policies is found where it is found for this test.
        let ours = std::env::var("PATH").unwrap_or_default();
        let keyward = binary::path();
        let folder = keyward.parent().unwrap().display().to_string();
        let own = self.root.path().join("bin").display().to_string();
        shell.env("PATH", format!("{folder}:{own}:{ours}"));
        for name in ["CARGO_HOME", "RUSTUP_HOME", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                shell.env(name, value);
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        shell
            .env("KEYWARD_SOURCE", root)
            .env("NO_COLOR", "1")
            // What the workspace was built with is all that a policy needs.
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TERM_QUIET", "true")
            .env("PYTHONUNBUFFERED", "1");
        shell
    }

    fn inward(&self, text: &str) -> String {
        let replaced = |text: String, (port, instead): &(&str, String)| {
            text.replace(&format!(":{port}"), &format!(":{instead}"))
                .replace(&format!(" {port} "), &format!(" {instead} "))
        };
        let text = self.ports.iter().fold(text.to_owned(), replaced);
        let replaced = |text: String, (what, by): &(String, String)| text.replace(what, by);
        self.instead.iter().fold(text, replaced)
    }

    fn outward(&self, text: &str) -> String {
        let replaced = |text: String, (port, instead): &(&str, String)| {
            text.replace(&format!(":{instead}"), &format!(":{port}"))
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = text.replace(root.to_str().unwrap(), "<keyward>");
        let mut text = sizes(&text);
        for (what, by) in &self.instead {
            text = text.replace(by, what);
            // Without the scheme, and the host alone.
            let (_, what) = what.split_once("://").unwrap();
            let (_, by) = by.split_once("://").unwrap();
            text = text.replace(by, what);
            let host = by.split(':').next().unwrap();
            if host == "localhost" {
                text = text.replace(host, what);
            }
        }
        self.ports.iter().fold(text, replaced)
    }
}

/// Without how long tests took, and the sizes of what was built, which are others with
/// each compiler.
fn sizes(text: &str) -> String {
    let mut shown = String::new();
    for part in text.split_inclusive('(') {
        match part.split_once(')') {
            Some((inside, rest)) if is_time(inside) => {
                shown.push_str("<time>)");
                shown.push_str(rest);
            }
            _ => shown.push_str(part),
        }
    }
    for before in ["size         ", ", data ", ", arena "] {
        if let Some((first, rest)) = shown.clone().split_once(before) {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            shown = format!("{first}{before}<bytes>{rest}");
        }
    }
    shown
}

/// `161 ms`, `2.4 s`.
fn is_time(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(number, unit)| {
        number.parse::<f64>().is_ok() && matches!(unit, "µs" | "ms" | "s")
    })
}

/// Each command as it is written, and as a shell takes it.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((format!("{line}\n"), command.to_owned()));
            inside = true;
        } else if let Some(more) = line.strip_prefix('>').filter(|_| inside) {
            let (written, command) = commands.last_mut().unwrap();
            written.push_str(&format!("{line}\n"));
            command.push('\n');
            command.push_str(more.strip_prefix(' ').unwrap_or(more));
        } else {
            inside = false;
        }
    }
    commands
}

/// A program that runs beside the others until the document ends.
struct Running(Child);

impl Running {
    /// Begins it and waits until it says that it serves.
    fn begin(mut shell: Command, place: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut child = shell
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = Self(child);
        let mut said = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("{place}: {said}"));
            said.push_str(&line.unwrap());
            said.push('\n');
            if said.to_ascii_lowercase().contains("serving") {
                break;
            }
        }
        // Nobody may stop because nobody reads.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn sizes_are_left_out() {
    let text = "size         12 B\nmemory       64 KiB: stack 1, data 2, arena 3\n";
    let shown =
        "size         <bytes> B\nmemory       64 KiB: stack 1, data <bytes>, arena <bytes>\n";
    assert_eq!(sizes(text), shown);
    assert_eq!(
        sizes("1 suite: 3 passed (161 ms)\n"),
        "1 suite: 3 passed (<time>)\n"
    );
    assert_eq!(sizes("nothing (of it) 5 ms)"), "nothing (of it) 5 ms)");
}

#[test]
fn commands_are_found_with_what_continues_them() {
    let found = commands("$ a \\\n> b\nout\n> no command\n$ c\n");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], ("$ a \\\n> b\n".to_owned(), "a \\\nb".to_owned()));
    assert_eq!(found[1].1, "c");
}
