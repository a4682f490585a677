#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn source(&self) -> Files {
        self.source_with(|_| {})
    }

    fn source_with(&self, change: impl FnOnce(&mut FilesConfig)) -> Files {
        let mut config = FilesConfig::new(self.0.path());
        change(&mut config);
        Files::new(SourceName::parse("mounted").unwrap(), config)
    }
}

/// The word of the error, or `read`.
async fn read(source: &Files, key: &str) -> &'static str {
    match source.fetch(key).await {
        Ok(_) => "read",
        Err(error) => error.word(),
    }
}

#[tokio::test]
async fn a_key_names_a_file_below_the_folder_and_nothing_else() {
    let folder = Folder::new();
    folder.put("key", "value\n", 0o600);
    folder.put("deep/key", "value\n", 0o400);
    folder.put(".dockerconfigjson", "{}", 0o600);
    let source = folder.source();
    assert_eq!(read(&source, "key").await, "read");
    assert_eq!(read(&source, "deep/key").await, "read");
    assert_eq!(read(&source, ".dockerconfigjson").await, "read");
    assert_eq!(read(&source, "other").await, "not-found");
    assert_eq!(read(&source, "deep").await, "unsafe");
    for key in [
        "..",
        "../key",
        "deep/../key",
        "..data/key",
        "/etc/passwd",
        "",
        "a//b",
        "./key",
    ] {
        assert_eq!(read(&source, key).await, "key", "{key}");
    }
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_not_followed_and_one_inside_is() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    elsewhere.put("key", "another's", 0o600);
    folder.put("real", "value", 0o600);
    symlink(elsewhere.0.path().join("key"), folder.0.path().join("out")).unwrap();
    symlink(elsewhere.0.path(), folder.0.path().join("outside")).unwrap();
    symlink("/proc/self/root", folder.0.path().join("magic")).unwrap();
    symlink("real", folder.0.path().join("in")).unwrap();
    let source = folder.source();
    assert_eq!(read(&source, "out").await, "unsafe");
    assert_eq!(read(&source, "outside/key").await, "unsafe");
    assert_eq!(read(&source, "magic/etc/passwd").await, "unsafe");
    assert_eq!(read(&source, "in").await, "read");
    // Control: the links do lead there.
    assert!(fs::read(folder.0.path().join("out")).is_ok());
    assert!(fs::read(folder.0.path().join("outside/key")).is_ok());
}

#[tokio::test]
async fn what_others_may_write_or_read_is_not_read() {
    let folder = Folder::new();
    let source = folder.source();
    for (mode, expected) in [
        (0o600, "read"),
        (0o440, "read"),
        (0o644, "unsafe"),
        (0o620, "unsafe"),
        (0o602, "unsafe"),
    ] {
        folder.put("key", "value", mode);
        assert_eq!(read(&source, "key").await, expected, "{mode:o}");
    }
    let lenient = folder.source_with(|config| config.readable_by_others = true);
    folder.put("key", "value", 0o644);
    assert_eq!(read(&lenient, "key").await, "read");
    folder.put("key", "value", 0o666);
    assert_eq!(read(&lenient, "key").await, "unsafe");
    folder.put("key", "value", 0o600);
    let path = folder.0.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(read(&source, "key").await, "unsafe");
    // As Kubernetes mounts them.
    fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(read(&source, "key").await, "read");
}

#[tokio::test]
async fn pipes_and_what_is_too_long_or_empty_are_refused_at_once() {
    let folder = Folder::new();
    folder.put("empty", "\n", 0o600);
    folder.put("long", &"x".repeat(MAX_BYTES + 1), 0o600);
    folder.put("just", &("x".repeat(MAX_BYTES) + "\r\n"), 0o600);
    let pipe = folder.0.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let source = folder.source();
    assert_eq!(read(&source, "empty").await, "empty");
    assert_eq!(read(&source, "long").await, "too-large");
    assert_eq!(read(&source, "just").await, "read");
    let read = tokio::time::timeout(Duration::from_secs(20), read(&source, "pipe"));
    assert_eq!(read.await.unwrap(), "unsafe");
}

#[tokio::test]
async fn a_swap_of_links_as_kubernetes_does_it_is_told_and_is_another_version() {
    let folder = Folder::new();
    folder.put("..one/key", "one", 0o600);
    folder.put("..two/key", "two", 0o600);
    symlink("..one", folder.0.path().join("..data")).unwrap();
    symlink("..data/key", folder.0.path().join("key")).unwrap();
    let source = folder.source();
    let mut changes = source.watch().unwrap();
    let before = source.fetch("key").await.unwrap().version;
    symlink("..two", folder.0.path().join("..data_tmp")).unwrap();
    fs::rename(
        folder.0.path().join("..data_tmp"),
        folder.0.path().join("..data"),
    )
    .unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), changes.changed());
    assert!(told.await.unwrap());
    let after = source.fetch("key").await.unwrap().version;
    assert_ne!(before, after);
}

#[tokio::test]
async fn reading_is_no_change() {
    let folder = Folder::new();
    folder.put("key", "one", 0o600);
    let source = folder.source();
    let mut changes = source.watch().unwrap();
    for _ in 0..10 {
        assert_eq!(read(&source, "key").await, "read");
    }
    // What is told comes in order: the first news is of this one.
    let before = tokio::time::timeout(Duration::from_millis(300), changes.changed());
    assert!(before.await.is_err());
    folder.put("other", "two", 0o600);
    let told = tokio::time::timeout(Duration::from_secs(20), changes.changed());
    assert!(told.await.unwrap());
}

#[tokio::test]
async fn a_check_says_which_step_fails() {
    let folder = Folder::new();
    folder.put("key", "value", 0o644);
    let source = folder.source();
    let words = |steps: Vec<CheckStep>| -> Vec<&'static str> {
        let outcome = |step: CheckStep| match step.outcome {
            crate::StepOutcome::Passed { .. } => "passed",
            crate::StepOutcome::Failed { error } => error.word(),
            crate::StepOutcome::Skipped => "skipped",
        };
        steps.into_iter().map(outcome).collect()
    };
    let steps = words(source.check(Some("key")).await);
    assert_eq!(steps, ["passed", "passed", "unsafe", "skipped"]);
    let steps = words(source.check(None).await);
    assert_eq!(steps, ["passed", "skipped", "skipped", "skipped"]);
    let gone = Files::new(source.name.clone(), FilesConfig::new("/no/such/folder"));
    let steps = words(gone.check(Some("key")).await);
    assert_eq!(steps, ["file", "skipped", "skipped", "skipped"]);
}

#[tokio::test]
async fn a_check_says_what_to_do_for_each_thing_that_fails() {
    let outside = Folder::new();
    outside.put("key", "value", 0o600);
    let folder = Folder::new();
    folder.put("shared", "value", 0o620);
    folder.put("open", "value", 0o644);
    folder.put("empty", "\n", 0o600);
    folder.put("long", &"x".repeat(MAX_BYTES + 3), 0o600);
    folder.put("deep/key", "value", 0o600);
    symlink(outside.0.path().join("key"), folder.0.path().join("away")).unwrap();
    let source = folder.source();
    let (file, safe, value) = (1, 2, 3);
    for (key, failed, error, advice) in [
        ("none", file, "no such secret", "is written as the source"),
        (
            "open/key",
            file,
            "can't be read: not a dir",
            "file can be read",
        ),
        (
            "away",
            file,
            "leads out of the folder",
            "inside of the folder",
        ),
        ("deep", safe, "it is no plain file", "be a plain file"),
        (
            "shared",
            safe,
            "others may write to it",
            "nobody else may write",
        ),
        ("open", safe, "every user may read it", "or read the file"),
        ("empty", value, "the value is empty", "Set a value"),
        ("long", value, "longer than", "the key is the one"),
    ] {
        let steps = source.check(Some(key)).await;
        let crate::StepOutcome::Failed { error: found } = &steps[failed].outcome else {
            panic!("{key}: {steps:?}");
        };
        assert!(found.to_string().contains(error), "{key}: {found}");
        let said = found.advice();
        assert!(said.contains(advice), "{key}: {said}");
    }
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let steps = source.check(Some("deep/key")).await;
    let crate::StepOutcome::Failed { error: found } = &steps[0].outcome else {
        panic!("{steps:?}");
    };
    assert!(found.advice().contains("nobody else may write to either"));
}
