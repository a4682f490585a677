//! The seven steps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use data_encoding::BASE64_NOPAD;

use super::client::{Client, contains, get};
use super::operators;
use super::show::Show;
use super::world::World;
use crate::steps;

/// Connections that send requests while a secret is rotated.
const CONNECTIONS: usize = 4;

/// Tells the story. Returns whether every check held.
pub(crate) async fn tell(keep: bool) -> Result<bool> {
    steps::doing("a gateway in a folder of its own, a backend, and an attacker's host");
    let mut world = World::start(keep)?;
    println!();
    println!(
        "   client ──► gateway {} ──► backend {}",
        world.gateway, world.backend.address
    );
    println!("              policies in sandboxes     (its own process, its own checks)");
    println!("              vault, grants, audit trail");
    let mut show = Show::new();

    no_key(&world, &mut show).await?;
    key_and_secret(&world, &mut show).await?;
    signature(&world, &mut show).await?;
    robbery(&world, &mut show).await?;
    rotation(&world, &mut show).await?;
    operators::operate(&world, &mut show).await?;
    audit(&mut world, &mut show)?;

    let held = show.close();
    if let Some(folder) = world.kept() {
        println!("The demo's folder is {}", folder.display());
    }
    Ok(held)
}

async fn no_key(world: &World, show: &mut Show) -> Result<()> {
    show.step(1, "A client without a key is refused");
    let none = get(world.gateway, "/v1/charges", None).await?;
    let wrong = get(
        world.gateway,
        "/v1/charges",
        Some("0123456789abcdef0123456789abcdef"),
    )
    .await?;
    show.check(none.status == 401, "no key: 401 Unauthorized");
    show.check(wrong.status == 401, "a wrong key: 401 Unauthorized");
    show.check(
        world.backend.noted()?.is_empty(),
        "the backend heard nothing of either",
    );
    Ok(())
}

async fn key_and_secret(world: &World, show: &mut Show) -> Result<()> {
    show.step(
        2,
        "A client with a key gets through, and the secret goes to the backend only",
    );
    let answer = get(world.gateway, "/v1/charges", Some(&world.client_key)).await?;
    let noted = world.backend.noted()?;
    show.check(answer.status == 200, "the client's key is accepted: 200 OK");
    let last = noted.last();
    show.check(
        last.is_some_and(|noted| noted.api_key == Some(0)),
        "the backend received the API key from the vault",
    );
    show.check(
        last.is_some_and(|noted| noted.subject.as_deref() == Some("acme")),
        "it was told who is calling: acme",
    );
    show.check(
        last.is_some_and(|noted| !noted.has_client_key),
        "the client's own key stayed at the gateway",
    );
    show.check(
        !answer.contains(&world.api_key),
        "the client received no trace of the API key",
    );
    let served_by = answer
        .headers
        .get("x-served-by")
        .is_some_and(|value| value == "keyward-demo");
    show.check(
        served_by,
        "the policy document's set-header reached the client",
    );
    Ok(())
}

async fn signature(world: &World, show: &mut Show) -> Result<()> {
    show.step(
        3,
        "The backend verifies a signature made with a key that never left the vault",
    );
    get(
        world.gateway,
        "/v1/charges?limit=10",
        Some(&world.client_key),
    )
    .await?;
    let noted = world.backend.noted()?;
    let last = noted.last();
    show.check(
        last.is_some_and(|noted| noted.signature == Some(true)),
        "RFC 9421 signature over method, host, path and query: valid, says the backend's own code",
    );
    let reflected = get(world.gateway, "/v1/debug", Some(&world.client_key)).await?;
    show.say("the backend's /v1/debug returns what it was sent, API key and all:");
    show.check(
        reflected.cut || reflected.status == 502,
        "the response guard saw the key in the answer and cut it off",
    );
    show.check(
        !reflected.contains(&world.api_key),
        "the client did not receive it",
    );
    Ok(())
}

async fn robbery(world: &World, show: &mut Show) -> Result<()> {
    show.step(
        4,
        "A hostile policy tries to read, misroute and log the secret",
    );
    let before = world.backend.noted()?.len();
    let answer = get(world.gateway, "/robbery/allowed", None).await?;
    let noted = world.backend.noted()?;
    show.say("it may attach the key on one path; it opens every name, signs, calls other routes,");
    show.say("rewrites the path after attaching, and carries what it found everywhere it can");
    show.check(
        answer.status == 502,
        "its exchange is refused: the attached key may not go where the path led",
    );
    let leaked = noted.iter().skip(before).any(|noted| noted.has_api_key);
    show.check(
        !leaked,
        "the key went to no path that its grant does not name",
    );
    show.check(
        world.attacker.noted()?.is_empty(),
        "the attacker's host received nothing",
    );
    show.check(
        !answer.contains(&world.api_key),
        "the client received nothing of it",
    );
    let log = std::fs::read(world.log_file())?;
    show.check(
        contains(&log, "keyward::policy"),
        "the policy did write to the log (the gateway logs at its most talkative)",
    );
    let secrets = [&world.api_key, &world.signing_key, &world.client_key];
    let in_log = secrets.iter().any(|secret| found(&log, secret));
    show.check(!in_log, "no secret is in the log, as it is or in base64");
    Ok(())
}

/// Whether a value is there, as it is or in base64 at any alignment.
fn found(bytes: &[u8], value: &str) -> bool {
    contains(bytes, value)
        || (0..3).any(|shift| {
            let shifted = [&b"xx"[..shift], value.as_bytes()].concat();
            let encoded = BASE64_NOPAD.encode(&shifted);
            let core = encoded
                .get((shift * 4).div_ceil(3)..encoded.len() - 2)
                .unwrap_or_default();
            contains(bytes, core)
        })
}

async fn rotation(world: &World, show: &mut Show) -> Result<()> {
    show.step(5, "The API key is rotated while requests run");
    let before = world.backend.noted()?.len();
    let stop = Arc::new(AtomicBool::new(false));
    let (sent, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let (stop, sent, failed) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&failed));
        let mut client = Client::connect(world.gateway).await?;
        let key = world.client_key.clone();
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get("/v1/charges", Some(&key)).await;
                sent.fetch_add(1, Ordering::Relaxed);
                if !answer.is_ok_and(|answer| answer.status == 200) {
                    failed.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }));
    }
    wait_for(&sent, 100).await;
    let rotated = world_rotates(world).await?;
    let at_rotation = sent.load(Ordering::Relaxed);
    wait_for(&sent, at_rotation + 100).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    let (sent, failed) = (sent.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let noted = world.backend.noted()?;
    let keys: Vec<Option<usize>> = noted
        .iter()
        .skip(before)
        .map(|noted| noted.api_key)
        .collect();
    let count = |which| keys.iter().filter(|key| **key == which).count();
    show.check(
        rotated,
        "`keyward secret rotate billing-key` reached the running gateway",
    );
    show.check(
        failed == 0,
        &format!("{sent} requests over {CONNECTIONS} connections, {failed} failed"),
    );
    show.check(
        count(Some(0)) > 0 && count(Some(1)) > 0,
        &format!(
            "{} carried the old key, {} the new one",
            count(Some(0)),
            count(Some(1))
        ),
    );
    show.check(count(None) == 0, "none carried anything else, nor a mix");
    let tail = keys
        .iter()
        .rev()
        .take(CONNECTIONS)
        .all(|key| *key == Some(1));
    show.check(tail, "the last ones all carried the new key");
    let signed = noted
        .iter()
        .skip(before)
        .all(|noted| noted.signature == Some(true));
    show.check(signed, "every one of them was signed");
    Ok(())
}

async fn wait_for(counter: &AtomicU64, value: u64) {
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while counter.load(Ordering::Relaxed) < value && tokio::time::Instant::now() < patience {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Rotates on another thread, so that the requests go on meanwhile.
async fn world_rotates(world: &World) -> Result<bool> {
    let (directory, value) = (world.directory(), world.next_api_key.clone());
    Ok(
        tokio::task::spawn_blocking(move || rotate(&directory, &value))
            .await?
            .is_ok(),
    )
}

fn rotate(directory: &Path, value: &str) -> Result<()> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new(crate::workspace::target().join("debug/keyward"))
        .env("KEYWARD_CONFIG", directory.join("keyward.toml"))
        .args(["secret", "rotate", "billing-key"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(value.as_bytes())?;
    }
    anyhow::ensure!(child.wait()?.success(), "the rotation failed");
    Ok(())
}

fn audit(world: &mut World, show: &mut Show) -> Result<()> {
    show.step(7, "The audit trail verifies; one changed byte is found");
    let key = world.verifier_key.clone();
    let verify = ["audit", "verify", "--key", &key];
    let running = world.try_keyward(&verify, None)?;
    show.check(
        running.status.success(),
        "while the gateway runs, the trail verifies",
    );
    show.check(
        world.stop()?,
        "the gateway stops when it is asked to, and ends well",
    );
    let stopped = world.try_keyward(&verify, None)?;
    show.check(stopped.status.success(), "and so does the finished trail");
    for line in String::from_utf8_lossy(&stopped.stdout).lines().take(4) {
        show.say(line);
    }
    let file = largest_file(&world.directory().join("audit"))?;
    let good = std::fs::read(&file)?;
    let mut bad = good.clone();
    let place = bad.len() / 2;
    if let Some(byte) = bad.get_mut(place) {
        *byte ^= 0x01;
    }
    std::fs::write(&file, &bad)?;
    let changed = world.try_keyward(&verify, None)?;
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    show.check(
        !changed.status.success(),
        &format!("after one flipped bit in {name} it does not"),
    );
    let said = [changed.stdout, changed.stderr].concat();
    for line in String::from_utf8_lossy(&said)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(3)
    {
        show.say(line.trim());
    }
    std::fs::write(&file, &good)?;
    let restored = world.try_keyward(&verify, None)?;
    show.check(restored.status.success(), "with the bit back, it does");
    let mut everything = Vec::new();
    collect(&world.directory(), &mut everything)?;
    let secrets = [
        &world.api_key,
        &world.next_api_key,
        &world.signing_key,
        &world.client_key,
    ];
    let on_disk = secrets.iter().any(|secret| found(&everything, secret));
    show.check(!on_disk, "no file of the gateway holds a secret in clear");
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

fn largest_file(directory: &Path) -> Result<std::path::PathBuf> {
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    files(directory)?
        .into_iter()
        .max_by_key(size)
        .ok_or_else(|| anyhow::anyhow!("the trail has no files"))
}

fn collect(directory: &Path, into: &mut Vec<u8>) -> Result<()> {
    for file in files(directory)? {
        into.extend(std::fs::read(file)?);
    }
    Ok(())
}
