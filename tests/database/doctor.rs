//! What `keyward doctor` says of databases, and what it says to do.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use keyward::egress::Roots;
use keyward::vault::{Filter, VaultFiles, query_trail};
use keyward_gateway::control::{DatabaseFault, check_databases};
use keyward_tests::{Canary, PostgresServer, TestGateway, policy_file};

use crate::logins::says;
use crate::world::{World, grant, login, route, statement, with};
use crate::{PASSWORD, server};

const ONE: &str = "SELECT name FROM customers WHERE id = 1";

/// What is wrong with the only grant's way to its database.
async fn faults(world: &World) -> Vec<DatabaseFault> {
    let grants = world.vault.grants();
    let grants = grants.iter().map(|grant| &**grant);
    let actor = TestGateway::actor();
    let mut entries = check_databases(&world.vault, &world.egress, grants, &actor).await;
    assert_eq!(entries.len(), 1);
    entries.remove(0).faults
}

/// The only thing that is wrong, which is about no statement.
async fn fault(world: &World) -> DatabaseFault {
    let mut faults = faults(world).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].statement, None, "{faults:?}");
    faults.remove(0)
}

fn of(server: &PostgresServer, login: &str) -> World {
    World::of(server, login, &grant("", &statement("one", ONE)))
}

#[tokio::test]
async fn a_database_in_order_is_said_to_be_and_that_it_was_asked_is_on_record() {
    let server = server!();
    let by_name = "SELECT plan FROM customers WHERE name = $1";
    let statements = statement("one", ONE) + &with("plan-of", by_name, &["text"]);
    let world = World::new(&server, &grant("", &statements));
    assert_eq!(faults(&world).await, []);
    let log = server.log();
    let ran = |line: &str| line.contains("execute") && line.contains("FROM customers");
    assert!(!log.lines().any(ran), "nothing is run: {log}");
    assert_eq!(world.outcomes(), [""; 0], "it is no policy's use");
    let trail = VaultFiles::in_directory(world.folder()).audit;
    let page = query_trail(&trail, &Filter::default(), 0, 1000).unwrap();
    let records: Vec<_> = page.records.iter().map(ToString::to_string).collect();
    let tried = |line: &String| line.contains("login-tried") && line.contains("secret login");
    assert_eq!(records.iter().filter(|line| tried(line)).count(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    let server = server!();
    let wrong = Canary::new();
    let fault = fault(&of(&server, &login("app", wrong.text(), server.port()))).await;
    assert!(fault.message.contains("28P01"), "{fault:?}");
    assert!(fault.advice.contains("keyward secret rotate"), "{fault:?}");
    assert_eq!(wrong.find_in(format!("{fault:?}").as_bytes()), None);

    let weak = fault_of_user(&server, "clear").await;
    assert!(weak.advice.contains("scram-sha-256"), "{weak:?}");
}

async fn fault_of_user(server: &PostgresServer, user: &str) -> DatabaseFault {
    fault(&of(server, &login(user, PASSWORD, server.port()))).await
}

#[tokio::test]
async fn without_tls_that_can_be_trusted_it_says_what_to_turn_on() {
    let server = server!();
    let (address, heard) = says(b"N").await;
    let there = route(&format!("postgres://localhost:{}", address.port())).unwrap();
    let there = there.with_roots(Roots::Pem(server.certificate().to_vec()));
    let grants = grant("", &statement("one", ONE));
    let world = World::on(there, &login("app", PASSWORD, address.port()), &grants);
    let refused = fault(&world).await;
    assert!(refused.advice.contains("ssl = on"), "{refused:?}");
    let heard = heard.await.unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains("app"));

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let there = route(&format!("postgres://localhost:{}", server.port())).unwrap();
    let there = there.with_roots(Roots::Pem(other.cert.pem().into_bytes()));
    let world = World::on(there, &login("app", PASSWORD, server.port()), &grants);
    let unknown = fault(&world).await;
    assert!(unknown.advice.contains("ca-file"), "{unknown:?}");
}

#[tokio::test]
async fn a_statement_that_the_database_does_not_know_is_named() {
    let server = server!();
    let statements = statement("gone", "SELECT name FROM clients")
        + &statement("one", ONE)
        + &statement("typo", "SELEC 1");
    let world = World::new(&server, &grant("", &statements));
    let faults = faults(&world).await;
    let names = faults.iter().map(|fault| fault.statement.clone().unwrap());
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    assert_eq!(names, ["gone", "typo"]);
    assert!(faults[0].message.contains("42P01"), "{faults:?}");
    assert!(faults[0].advice.contains("table"), "{faults:?}");

    let nowhere = login("app", PASSWORD, server.port()).replace("/postgres", "/shop");
    let fault = fault(&of(&server, &nowhere)).await;
    assert!(fault.message.contains("3D000"), "{fault:?}");
    assert!(fault.advice.contains("name of the database"), "{fault:?}");
}

#[tokio::test]
async fn a_database_that_is_down_or_elsewhere_is_told_from_one_that_refuses() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let there = || {
        let roots = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let route = route(&format!("postgres://localhost:{port}")).unwrap();
        route.with_roots(Roots::Pem(roots.cert.pem().into_bytes()))
    };
    let grants = grant("", &statement("one", ONE));
    let down = fault(&World::on(there(), &login("app", PASSWORD, port), &grants)).await;
    assert!(down.message.contains("no connection"), "{down:?}");
    assert!(down.advice.contains("start the database"), "{down:?}");

    let other = World::on(there(), &login("app", PASSWORD, port ^ 1), &grants);
    let other = fault(&other).await;
    assert!(other.advice.contains("host and port"), "{other:?}");
}

/// Runs the command in a folder.
fn keyward(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    let mut command = Command::new(binary);
    command.env_clear().current_dir(folder).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // A command that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_tells_it_and_ends_with_4() {
    let server = server!();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |arguments: &[&str], input: &str| {
        let output = keyward(folder, arguments, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    run(&["init"], "");
    std::fs::write(folder.join("db-ca.pem"), server.certificate()).unwrap();
    let component = policy_file("lookup-postgres");
    let more = format!(
        "\n[[route]]\nname = \"db\"\nurl = \"postgres://localhost:{}\"\nca-file = \"db-ca.pem\"\n\
         \n[[policy]]\nname = \"tester\"\ncomponent = {component:?}\n\
         settings = {{ of-header = \"x-tenant\", alias = \"db\" }}\n",
        server.port()
    );
    let file = folder.join("keyward.toml");
    let config = std::fs::read_to_string(&file).unwrap() + &more;
    std::fs::write(&file, config).unwrap();
    let grants = grant("", &statement("one", ONE));
    std::fs::write(folder.join("grants.toml"), grants).unwrap();
    let right = login("app", PASSWORD, server.port());
    run(&["secret", "set", "login", "--kind", "database"], &right);
    let good = keyward(folder, &["doctor"], "");
    let said = String::from_utf8(good.stdout).unwrap();
    let line = "ok       database: db takes login and knows the 1 statement of grant ask\n";
    assert!(said.contains(line), "{said}");
    assert_eq!(good.status.code(), Some(0), "{said}");

    let wrong = login("app", "not-the-password", server.port());
    run(&["secret", "rotate", "login"], &wrong);
    let bad = keyward(folder, &["doctor"], "");
    let said = String::from_utf8(bad.stdout).unwrap();
    let line = "failed   database: db, with login of grant ask: the server refuses the login (SQLSTATE 28P01)\n         fix: ";
    assert!(said.contains(line), "{said}");
    assert!(!said.contains("not-the-password"));
    assert_eq!(bad.status.code(), Some(4), "{said}");
}
