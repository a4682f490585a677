//! Servers that run: each in a folder and on a core of its own, stopped by its
//! process's number when it is dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long one may take to start.
const START: Duration = Duration::from_secs(60);
/// How long one may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// A process that listens.
pub(crate) struct Running {
    process: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Running {
    /// Starts `command` in `folder` on one core, and waits until it accepts
    /// connections at `address`.
    ///
    /// Errors: it ends, or accepts none within a minute; with the end of its log.
    pub(crate) fn start(
        mut command: Command,
        folder: tempfile::TempDir,
        address: SocketAddr,
        core: Option<usize>,
    ) -> Result<Self> {
        let log = folder.path().join("log");
        let file = File::create(&log)?;
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut process = match core {
            Some(core) => on_core(core, || command.spawn())?,
            None => command.spawn(),
        }
        .with_context(|| format!("can't run `{}`", crate::steps::shown(&command)))?;
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.try_wait()?;
            if ended.is_some() || start.elapsed() > START {
                let _ = process.kill();
                let _ = process.wait();
                bail!(
                    "`{}` does not come up: {}",
                    crate::steps::shown(&command),
                    end_of(&log)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Running {
            process,
            address,
            _folder: folder,
        })
    }

    /// The CPU time of all its threads and of its children's since they started.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for process in family(self.process.id())? {
            for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
                let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
                nanoseconds += text
                    .split_whitespace()
                    .next()
                    .and_then(|number| number.parse::<u64>().ok())
                    .context("the kernel gives no CPU times")?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Memory that is resident, in bytes, of it and its children.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut kibibytes = 0;
        for process in family(self.process.id())? {
            let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
            kibibytes += text
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))
                .and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok())
                .context("the kernel gives no size of memory")?;
        }
        Ok(kibibytes * 1024)
    }

    /// Whether it still runs. Errors: it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "it ended by itself ({ended:?})");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A process and its children.
fn family(process: u32) -> Result<Vec<u32>> {
    let path: PathBuf = format!("/proc/{process}/task/{process}/children").into();
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let mut family = vec![process];
    family.extend(
        children
            .split_whitespace()
            .filter_map(|child| child.parse::<u32>().ok()),
    );
    Ok(family)
}

/// Does something on one core. Processes and threads that it starts stay there.
///
/// Errors: the machine has no such core.
pub(crate) fn on_core<T>(core: usize, work: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None)?;
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("this machine has no core {core}"))?;
    let done = work();
    sched_setaffinity(None, &before)?;
    Ok(done)
}

/// The last lines of a log.
fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}
