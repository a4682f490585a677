//! Shared access signatures, against the emulator.

use http::request::Parts;
use keyward::vault::{AttachError, ChosenAccess, Covers, Permissions, uses};

use crate::{World, emulator};

const BLOBS: &str = "scope = \"resource\"\nservice = \"blob\"\nresource = \"con1\"\n\
                     permissions = [\"read\", \"create\", \"write\", \"delete\", \"list\"]";

fn choose(covers: Covers, permissions: &[&str]) -> ChosenAccess {
    ChosenAccess {
        covers,
        permissions: Permissions::of(permissions.iter().copied()).unwrap(),
        lifetime_seconds: None,
    }
}

fn with_sas(
    world: &World,
    (service, method, path): (&str, &str, &str),
    chosen: ChosenAccess,
    body: &[u8],
) -> Result<Parts, AttachError> {
    let request = world
        .request(service, method, path)
        .header("x-ms-blob-type", "BlockBlob")
        .header("x-ms-version", "2021-12-02")
        .header("accept", "application/json");
    world.written(request, body, |vault, ledger| {
        let permit = vault.permit::<uses::Sas>(&World::identity(), "storage", ledger);
        permit.unwrap().note_with(chosen).unwrap()
    })
}

/// The path and query of a request, with one text in place of another.
fn changed(mut head: Parts, from: &str, to: &str) -> Parts {
    let text = head.uri.to_string();
    assert!(text.contains(from), "{from}");
    head.uri = text.replacen(from, to, 1).parse().unwrap();
    head
}

#[test]
fn a_signature_for_a_blob_is_good_for_what_it_says_and_for_no_more() {
    let world = emulator!();
    world.container("con1", &["b1", "b2"]);
    world.container("con2", &["b1"]);
    world.grant("sas", BLOBS);
    let read = || {
        let what = ("blob", "GET", "/con1/b1");
        with_sas(&world, what, choose(Covers::Item, &["read"]), b"").unwrap()
    };
    assert_eq!(world.send("blob", &read(), b""), 200, "the control");
    let year = (jiff::Timestamp::now().as_second() / 31_556_952 + 1970).to_string();
    for (what, from, to) in [
        ("another blob", "/con1/b1", "/con1/b2"),
        ("another container", "/con1/b1", "/con2/b1"),
        ("more permissions", "sp=r", "sp=rw"),
        ("all of the container", "sr=b", "sr=c"),
        ("a longer life", &format!("se={year}"), "se=2099"),
        ("another protocol", "spr=https%2Chttp", "spr=http"),
        ("no protocol", "&spr=https%2Chttp", ""),
        ("another version", "sv=2021-12-02", "sv=2020-02-10"),
        ("a start", "sv=", "st=2020-01-01T00%3A00%3A00Z&sv="),
        ("an address", "sv=", "sip=127.0.0.1&sv="),
        ("another type in the answer", "sv=", "rsct=text%2Fhtml&sv="),
        ("a stored policy", "sv=", "si=p&sv="),
        ("another code", "sig=", "sig=A"),
    ] {
        let head = changed(read(), from, to);
        assert_eq!(world.send("blob", &head, b""), 403, "{what}");
    }
    let mut write = read();
    write.method = http::Method::PUT;
    let block = http::HeaderValue::from_static("BlockBlob");
    write.headers.insert("x-ms-blob-type", block);
    write.headers.insert("content-length", 1.into());
    assert_eq!(
        world.send("blob", &write, b"x"),
        403,
        "reading is not writing"
    );
}

#[test]
fn each_scope_of_a_signature_is_accepted_for_what_lies_in_it() {
    let world = emulator!();
    world.container("con1", &["b1", "d/b2"]);
    world.grant("sas", BLOBS);
    let put = with_sas(
        &world,
        ("blob", "PUT", "/con1/new"),
        choose(Covers::Item, &["create"]),
        b"x",
    );
    assert_eq!(world.send("blob", &put.unwrap(), b"x"), 201);
    let list = ("blob", "GET", "/con1?restype=container&comp=list");
    let head = with_sas(&world, list, choose(Covers::Container, &["list"]), b"").unwrap();
    assert_eq!(world.send("blob", &head, b""), 200);
    let head = with_sas(&world, list, choose(Covers::Container, &["read"]), b"").unwrap();
    assert_eq!(
        world.send("blob", &head, b""),
        403,
        "reading is not listing"
    );
    // A signature for the container is good for each blob in it.
    let one = ("blob", "GET", "/con1/b1");
    let head = with_sas(&world, one, choose(Covers::Container, &["read"]), b"").unwrap();
    assert_eq!(
        world.send("blob", &changed(head, "/con1/b1", "/con1/d/b2"), b""),
        200
    );
}

#[test]
fn a_signature_for_an_account_is_accepted() {
    let world = emulator!();
    world.container("con1", &["b1"]);
    for (service, path) in [
        ("blob", "?comp=list"),
        ("queue", "?comp=list"),
        ("table", "/Tables"),
    ] {
        let permissions = match service {
            "blob" => "[\"read\", \"list\"]",
            "queue" => "[\"read\", \"process\"]",
            _ => "[\"read\", \"add\"]",
        };
        let scope =
            format!("scope = \"account\"\nservice = \"{service}\"\npermissions = {permissions}");
        world.grant("sas", &scope);
        let wanted: &[&str] = if service == "blob" {
            &["read", "list"]
        } else {
            &["read"]
        };
        let what = (service, "GET", path);
        let head = with_sas(&world, what, choose(Covers::Account, wanted), b"").unwrap();
        let status = world.send(service, &head, b"");
        // Listing queues and tables takes `list`, which their permissions don't have.
        let expected = if service == "blob" { 200 } else { 403 };
        assert_eq!(status, expected, "{service}");
        for (what, from, to) in [
            ("another service", "ss=", "ss=f"),
            ("fewer resource types", "srt=sco", "srt=s"),
            ("more permissions", "sp=r", "sp=rwd"),
        ] {
            let head = changed(head.clone(), from, to);
            assert_eq!(world.send(service, &head, b""), 403, "{service}: {what}");
        }
    }
}

#[test]
fn queues_and_tables_take_their_own_signatures() {
    let world = emulator!();
    world.grant(
        "sign-request",
        "scheme = \"shared-key\"\nservice = \"queue\"",
    );
    let head = world.signed(world.request("queue", "PUT", "/que1"), b"");
    assert_eq!(world.send("queue", &head, b""), 201);
    world.grant(
        "sas",
        "scope = \"resource\"\nservice = \"queue\"\nresource = \"que1\"\npermissions = [\"add\", \"read\"]",
    );
    let what = ("queue", "GET", "/que1/messages?peekonly=true");
    let head = with_sas(&world, what, choose(Covers::Item, &["read"]), b"").unwrap();
    assert_eq!(world.send("queue", &head, b""), 200);
    let other = changed(head, "/que1/", "/que2/");
    assert_eq!(world.send("queue", &other, b""), 403);

    world.grant(
        "sign-request",
        "scheme = \"shared-key\"\nservice = \"table\"",
    );
    let body = br#"{"TableName":"tab1"}"#;
    let request = world.request("table", "POST", "/Tables");
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/json;odata=nometadata");
    let head = world.signed(request, body);
    assert_eq!(world.send("table", &head, body), 201);
    world.grant(
        "sas",
        "scope = \"resource\"\nservice = \"table\"\nresource = \"tab1\"\npermissions = [\"read\"]",
    );
    let what = ("table", "GET", "/tab1");
    let head = with_sas(&world, what, choose(Covers::Item, &["read"]), b"").unwrap();
    assert_eq!(world.send("table", &head, b""), 200);
}
