//! Compiling in a child process with limits of its own, so that a hostile component
//! can take nothing but the child's time and memory.
//!
//! The child is a program of the embedder's that calls [`compile_as_child`]: it
//! limits itself before it reads a byte, has no environment, no files and no
//! descriptors but its pipes, and makes no threads. It runs nothing of a component:
//! `configure` runs in the host, in a sandbox like those of requests, and the child is
//! given what it left in memory. What the child answers becomes machine code of the
//! host: someone who finds a flaw in the compiler that lets a component take over the
//! child could answer with code of their own. The limits make that no worse; nothing here
//! prevents it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use keyward_engine::{CompileFault, Compiler, compile};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

/// Bytes of address space that a child has.
const MEMORY_BYTES: u64 = 2 << 30;
/// Seconds of computing that it has.
const CPU_SECONDS: u64 = 60;
/// Seconds that it has in all.
const WALL_SECONDS: u64 = 120;
/// Bytes that it may answer.
const MOST_ANSWER_BYTES: usize = 256 << 20;
/// Bytes that it reads: more than any component has, with what its memory holds.
const MOST_JOB_BYTES: u64 = 64 << 20;

/// Compiles policies in child processes: as many at once as there are processors, the
/// others wait.
#[derive(Debug)]
pub struct ChildCompiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    wall: Duration,
    free: Mutex<usize>,
    freed: Condvar,
}

impl ChildCompiler {
    /// Starts `program` with these arguments for each component. It must do what
    /// [`compile_as_child`] does and nothing else.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let processors = std::thread::available_parallelism();
        ChildCompiler {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            wall: Duration::from_secs(WALL_SECONDS),
            free: Mutex::new(processors.map_or(1, NonZeroUsize::get)),
            freed: Condvar::new(),
        }
    }

    /// The running program itself, with these arguments: the very file that runs,
    /// whatever has taken its place on the disk since.
    pub fn this_program(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self::new("/proc/self/exe", arguments)
    }

    /// How long a child may take in all, waiting for a processor included; by default
    /// 120 s.
    #[must_use]
    pub fn within(mut self, wall: Duration) -> Self {
        self.wall = wall;
        self
    }

    fn ask(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(CompileFault::NotStarted)?;
        let answer = self.converse(&mut child, job);
        // Whatever it still does, it is over.
        let _ = child.kill();
        let ended = child.wait().map_err(CompileFault::NotStarted)?;
        match answer? {
            answer if answer.len() > MOST_ANSWER_BYTES => {
                Err(CompileFault::TooLarge(MOST_ANSWER_BYTES))
            }
            answer if answer.is_empty() => Err(CompileFault::Ended(how(ended))),
            answer => Ok(answer),
        }
    }

    /// Hands the job over and takes the answer. The threads end with the child's ends
    /// of the pipes.
    fn converse(&self, child: &mut Child, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CompileFault::Garbled);
        };
        let job = job.to_vec();
        let (answered, answer) = sync_channel(1);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let read = move || {
            let mut bytes = Vec::new();
            let most = u64::try_from(MOST_ANSWER_BYTES).unwrap_or(u64::MAX);
            let read = output.take(most.saturating_add(1)).read_to_end(&mut bytes);
            let _ = answered.send(read.map(|_| bytes));
        };
        thread("keyward-compile")
            .spawn(read)
            .map_err(CompileFault::NotStarted)?;
        // A child that doesn't read it all says why in its answer, or by how it ends.
        let write = move || {
            let _ = input.write_all(&job);
        };
        thread("keyward-compile")
            .spawn(write)
            .map_err(CompileFault::NotStarted)?;
        match answer.recv_timeout(self.wall) {
            Ok(read) => read.map_err(CompileFault::NotStarted),
            Err(RecvTimeoutError::Timeout) => Err(CompileFault::TookTooLong(self.wall.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Err(CompileFault::Garbled),
        }
    }
}

impl Compiler for ChildCompiler {
    fn compile(&self, job: &[u8]) -> Result<Vec<u8>, CompileFault> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let answer = self.ask(job);
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
        answer
    }
}

fn how(ended: ExitStatus) -> String {
    // "exit status: 1" or "signal: 24 (SIGXCPU)".
    ended.to_string()
}

/// What the child of a [`ChildCompiler`] does, first thing in `main`, before there are
/// threads: limits itself, reads a job from standard input, answers on standard
/// output.
///
/// Errors: a limit can't be set, a pipe broke, or the job is larger than any is. The
/// caller ends the process then, with nothing on standard output.
pub fn compile_as_child() -> io::Result<()> {
    close_others()?;
    limit()?;
    let mut job = Vec::new();
    let read = io::stdin()
        .lock()
        .take(MOST_JOB_BYTES + 1)
        .read_to_end(&mut job)?;
    if u64::try_from(read).is_ok_and(|read| read > MOST_JOB_BYTES) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut output = io::stdout().lock();
    output.write_all(&compile(&job))?;
    output.flush()
}

/// Closes what a parent of the gateway left open: what the gateway opens itself, its
/// children don't get.
fn close_others() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // The one with which they were listed is closed by now.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

fn limit() -> io::Result<()> {
    let most = |resource, most: u64| {
        // What whoever started this one allows is never widened.
        let most = getrlimit(resource)
            .maximum
            .map_or(most, |allowed| allowed.min(most));
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    most(Resource::Core, 0)?;
    most(Resource::Cpu, CPU_SECONDS)?;
    most(Resource::As, MEMORY_BYTES)?;
    most(Resource::Fsize, 0)?;
    most(Resource::Nproc, 0)?;
    // Its pipes and what stands for standard error; one more can't be opened.
    most(Resource::Nofile, 3)?;
    Ok(())
}
