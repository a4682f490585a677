//! Every verb, asked for by each role and by nobody, through a real socket.
//!
//! The table here is written by hand from what the roles are for; it is not the
//! gateway's. Run as root, each request comes from a process of another user.
//! Otherwise there is only one user to be had: the gateway then takes another
//! number for its own user, and gives this one a role after the other.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use keyward::names::ValueName;
use keyward::vault::{Actor, Durability, Vault, VaultFiles};
use keyward_gateway::control::{
    ControlSocket, GrantsReloaded, Member, Node, Role, RoleTable, Rules, Status, Verb,
};
use serde_json::{Value, json};

use crate::binary::keyward;

/// Verb, fields, and who may: viewer, operator, approver, auditor. Where none of
/// them may, root and the gateway's own user still may.
const MATRIX: &[(&str, &str, [bool; 4])] = &[
    ("ping", "", [true, true, true, true]),
    ("status", "", [true, true, true, true]),
    ("secret.list", "", [true, true, true, true]),
    (
        "secret.set",
        r#","name":"a","kind":{"kind":"hmac-key"},"generate":true"#,
        [false, true, false, false],
    ),
    (
        "secret.rotate",
        r#","name":"a","generate":true"#,
        [false, true, false, false],
    ),
    (
        "secret.rotation",
        r#","name":"a","every":86400"#,
        [false, true, false, false],
    ),
    (
        "secret.roll-back",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    (
        "secret.disable",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    (
        "secret.enable",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    (
        "secret.retire",
        r#","name":"a","version":1"#,
        [false, true, false, false],
    ),
    (
        "secret.remove",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    (
        "secret.validity",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    (
        "secret.refresh",
        r#","names":["a"]"#,
        [false, true, false, false],
    ),
    (
        "secret.origin",
        r#","name":"a""#,
        [false, true, false, false],
    ),
    ("source.list", "", [true, true, true, true]),
    (
        "source.check",
        r#","source":"azure""#,
        [false, true, false, false],
    ),
    ("database.check", "", [false, true, false, false]),
    ("client.list", r#","keys":"c""#, [true, true, true, true]),
    (
        "client.add",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    (
        "client.rotate",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    (
        "client.retire",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    (
        "client.disable",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    (
        "client.enable",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    (
        "client.remove",
        r#","subject":"acme""#,
        [false, true, false, false],
    ),
    ("value.list", "", [true, true, true, true]),
    ("value.show", r#","name":"v""#, [true, true, true, true]),
    (
        "value.set",
        r#","name":"v","value":{"plain":"x"}"#,
        [false, true, false, false],
    ),
    (
        "value.remove",
        r#","name":"v""#,
        [false, true, false, false],
    ),
    ("grants.list", "", [true, true, true, true]),
    ("grants.reload", "", [false, false, true, false]),
    (
        "grants.revoke",
        r#","grant":"g""#,
        [false, false, true, false],
    ),
    (
        "grants.reinstate",
        r#","grant":"g""#,
        [false, false, true, false],
    ),
    ("config.reload", "", [false, false, true, false]),
    ("audit.checkpoint", "", [false, false, false, true]),
    ("audit.query", "", [false, false, false, true]),
    ("audit.who", r#","secret":"a""#, [false, false, false, true]),
    ("audit.prove", r#","entry":0"#, [false, false, false, true]),
    ("audit.verify", "", [false, false, false, true]),
    (
        "audit.consistency",
        r#","old":"no checkpoint""#,
        [false, false, false, true],
    ),
    // Nobody whose acts are in it removes them.
    (
        "audit.prune",
        r#","before":"2020-01-01T00:00:00Z""#,
        [false, false, false, false],
    ),
    ("vault.status", "", [true, true, true, true]),
    ("vault.slots", "", [true, true, true, true]),
    (
        "vault.slot-add",
        r#","key":{"key-file":"/nonexistent/k"}"#,
        [false, false, false, false],
    ),
    (
        "vault.slot-remove",
        r#","slot":99"#,
        [false, false, false, false],
    ),
    ("vault.rewrap", "", [false, true, false, false]),
    ("vault.rekey", r#","keys":[]"#, [false, false, false, false]),
    (
        "vault.backup",
        r#","key":{"key-file":"/nonexistent/k"}"#,
        [false, false, false, false],
    ),
];

const ROLES: [Role; 4] = [Role::Viewer, Role::Operator, Role::Approver, Role::Auditor];

/// The user of a role, in the order of [`ROLES`]; the last has none.
const USERS: [u32; 5] = [61_001, 61_002, 61_003, 61_004, 61_005];

struct TestNode {
    vault: Vault,
    trail: PathBuf,
}

impl Node for TestNode {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn trail(&self) -> &Path {
        &self.trail
    }

    fn reload_grants(&self, _actor: &Actor) -> Result<GrantsReloaded, String> {
        Err("there is no grants file here".to_owned())
    }

    fn status(&self) -> Option<Status> {
        None
    }

    fn steers(&self, value: &ValueName) -> bool {
        value.as_str() == "backend-url"
    }
}

/// A node in a folder that everyone can look into and nobody else can write.
fn node(folder: &Path) -> Arc<TestNode> {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    // By another process: a child that another test forks would for a moment keep
    // the lock that making a vault here takes.
    let made = keyward(folder, &["init"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let files = VaultFiles::in_directory(folder);
    Arc::new(TestNode {
        vault: Vault::open(&files, Durability::Buffered).unwrap(),
        trail: files.audit,
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The rules under which `user` has that role and nobody here has another.
fn rules(user: usize) -> Rules {
    let own = rustix::process::geteuid().as_raw();
    let mut roles = match is_root() {
        true => RoleTable::new(),
        // Otherwise this user would have every role.
        false => RoleTable::with_owner(own.wrapping_add(1)),
    };
    for (index, role) in ROLES.into_iter().enumerate() {
        match is_root() {
            true => roles.give(Member::User(USERS[index]), role),
            false if index == user => roles.give(Member::User(own), role),
            false => roles.give(Member::User(USERS[index]), role),
        }
    }
    Rules {
        roles,
        require_reason: false,
    }
}

/// Sends request lines, each on a connection of its own, as a user.
fn ask_as(user: usize, socket: &Path, lines: &[String]) -> Vec<Value> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "roles::asks_as_another_user",
        ])
        .env("CONTROL_SOCKET", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if is_root() {
        command.uid(USERS[user]).gid(USERS[user]);
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.concat().as_bytes()).unwrap();
    drop(stdin);
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    said.lines()
        .filter_map(|line| line.strip_prefix("answer: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Not a test: what [`ask_as`] runs.
#[test]
#[ignore = "run by other tests, as another user"]
#[expect(clippy::print_stdout, reason = "the other test reads it")]
fn asks_as_another_user() {
    let Some(socket) = std::env::var_os("CONTROL_SOCKET") else {
        return;
    };
    for line in std::io::stdin().lines() {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // Who is dropped at once is answered nothing.
        let _ = writeln!(stream, "{}", line.unwrap());
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_line(&mut answer);
        println!(
            "\nanswer: {}",
            if answer.is_empty() {
                "null"
            } else {
                answer.trim_end()
            }
        );
    }
}

fn line_of(verb: &str, fields: &str) -> String {
    format!("{{\"request\":{{\"verb\":\"{verb}\"{fields}}}}}\n")
}

/// The denials in a trail.
#[derive(Debug, Default)]
struct Denials {
    /// Actor and verb of each that has a record of its own.
    listed: Vec<(String, String)>,
    /// How many others there were.
    counted: usize,
}

fn denials(trail: &Path) -> Denials {
    let mut denials = Denials::default();
    for record in keyward::vault::read_records(trail) {
        let record = record.unwrap();
        if record["act"] != "access-denied" {
            continue;
        }
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        match text("reason").split_once(" more") {
            Some((count, _)) => denials.counted += count.parse::<usize>().unwrap(),
            None => denials.listed.push((text("actor"), text("verb"))),
        }
    }
    denials
}

/// Runs one user's requests against a socket of their own, so that no denial is
/// counted together with another's.
fn answers(user: usize, lines: &[String]) -> (Vec<Value>, Denials) {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let socket = folder.path().join("control.sock");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let answers = runtime.block_on(async {
        let bound = ControlSocket::bind(&socket, rules(user)).unwrap();
        let server = tokio::spawn(bound.serve(node.clone()));
        let (socket, lines) = (socket.clone(), lines.to_owned());
        let asked = tokio::task::spawn_blocking(move || ask_as(user, &socket, &lines));
        let answers = asked.await.unwrap();
        server.abort();
        let _ = server.await;
        answers
    });
    // The last holder of the vault closes the trail: all is on disk then.
    drop(runtime);
    let trail = node.trail.clone();
    drop(node);
    (answers, denials(&trail))
}

#[test]
fn each_role_may_what_it_is_for_and_each_denial_is_on_record() {
    let verbs: Vec<&str> = MATRIX.iter().map(|(verb, ..)| *verb).collect();
    let all: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    assert_eq!(verbs, all, "a verb is missing here");

    for (user, uid) in USERS.into_iter().enumerate() {
        let who = ROLES.get(user).map_or("nobody", |role| role.as_str());
        // Ten at a time: no more denials of one user have records of their own
        // within a minute.
        for part in MATRIX.chunks(10) {
            let lines: Vec<String> = part
                .iter()
                .map(|(verb, fields, _)| line_of(verb, fields))
                .collect();
            let (answers, denials) = answers(user, &lines);
            assert_eq!(answers.len(), part.len());
            for ((verb, _, roles), answer) in part.iter().zip(&answers) {
                let may = roles.get(user).copied().unwrap_or(false);
                let forbidden = answer["error"]["code"] == "forbidden";
                assert_eq!(forbidden, !may, "{who}, {verb}: {answer}");
                let recorded = denials.listed.iter().filter(|(_, denied)| denied == verb);
                assert_eq!(
                    recorded.count(),
                    usize::from(!may),
                    "{who}, {verb}: {denials:?}"
                );
                if !may {
                    let would_do: Vec<&str> = roles
                        .iter()
                        .zip(ROLES)
                        .filter(|(may, _)| **may)
                        .map(|(_, role)| role.as_str())
                        .collect();
                    let named = answer["error"].get("roles").cloned();
                    assert_eq!(named.unwrap_or(json!([])), json!(would_do), "{verb}");
                }
            }
            let actor = match is_root() {
                true => format!("uid {uid}"),
                false => format!("uid {}", rustix::process::geteuid().as_raw()),
            };
            assert!(
                denials
                    .listed
                    .iter()
                    .all(|(named, _)| named.starts_with(&actor)),
                "{denials:?}"
            );
        }
    }
}

/// What decides is what would be carried out, however it is put.
#[test]
fn no_spelling_of_a_request_goes_past_the_roles() {
    const VIEWER: usize = 0;
    let spellings = [
        // An object is not the only form in which a parser takes its members.
        r#"{"request":["secret.disable","a"]}"#,
        r#"{"request":["grants.revoke","g"],"reason":"x"}"#,
        r#"[{"verb":"secret.disable","name":"a"},"x",[]]"#,
        r#"[["value.remove","v"],null,[]]"#,
        r#"{"request":{"verb":"ping","verb":"secret.disable","name":"a"}}"#,
        r#"{"request":{"verb":"secret.disable","name":"a","verb":"ping"}}"#,
        r#"{"request":{"verb":"secret.disable","name":"a"},"request":{"verb":"ping"}}"#,
        r#"{"request":{"verb":"secret.disabl\u0065","name":"a"}}"#,
        r#" {"request" : {"name":"a","verb":"secret.disable"}}"#,
    ];
    let lines: Vec<String> = spellings.iter().map(|line| format!("{line}\n")).collect();
    let (answers, _) = answers(VIEWER, &lines);
    assert_eq!(answers.len(), lines.len());
    for (line, answer) in lines.iter().zip(&answers) {
        let code = &answer["error"]["code"];
        assert!(
            code == "forbidden" || code == "malformed",
            "{line}: {answer}"
        );
    }
}

#[test]
fn an_operator_alone_does_not_decide_where_requests_go() {
    const OPERATOR: usize = 1;
    let set = |name: &str| {
        let fields = format!(r#","name":"{name}","value":{{"plain":"http://127.0.0.1:9"}}"#);
        line_of("value.set", &fields)
    };
    let remove = line_of("value.remove", r#","name":"backend-url""#);
    let (answers, denials) = answers(OPERATOR, &[set("backend-url"), remove, set("greeting")]);
    let [steering, removing, other] = &answers[..] else {
        panic!("{answers:?}");
    };
    for denied in [steering, removing] {
        assert_eq!(denied["error"]["code"], "forbidden", "{denied}");
        assert_eq!(denied["error"]["roles"], json!(["approver"]));
    }
    // The control: a value that decides nothing of the kind is theirs to set.
    assert_eq!(other["ok"]["name"], "greeting", "{other}");
    let verbs: Vec<&str> = denials.listed.iter().map(|(_, verb)| &**verb).collect();
    assert_eq!(verbs, ["value.set", "value.remove"]);
}

/// The control: the same requests by whoever has every role are all let through.
#[test]
fn control_the_gateways_own_user_is_denied_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path());
    let socket = folder.path().join("control.sock");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bound = ControlSocket::bind(&socket, Rules::default()).unwrap();
        let server = tokio::spawn(bound.serve(node.clone()));
        let asked = tokio::task::spawn_blocking(move || {
            for (verb, fields, _) in MATRIX {
                let mut stream = UnixStream::connect(&socket).unwrap();
                stream.write_all(line_of(verb, fields).as_bytes()).unwrap();
                let mut answer = String::new();
                BufReader::new(stream).read_line(&mut answer).unwrap();
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_ne!(answer["error"]["code"], "forbidden", "{verb}: {answer}");
            }
        });
        asked.await.unwrap();
        server.abort();
    });
    assert!(denials(&node.trail).listed.is_empty());
}

#[test]
fn a_flood_of_denials_is_a_number_in_the_trail() {
    const FLOOD: usize = 200;
    let nobody = USERS.len() - 1;
    let lines = vec![line_of("secret.list", ""); FLOOD];
    let (answers, denials) = answers(nobody, &lines);
    assert_eq!(answers.len(), FLOOD);
    let answered = |answer: &Value| answer.is_null() || answer["error"]["code"] == "forbidden";
    assert!(answers.iter().all(answered));
    assert!(denials.listed.len() < FLOOD / 2, "{}", denials.listed.len());
    assert_eq!(denials.listed.len() + denials.counted, FLOOD);
}
