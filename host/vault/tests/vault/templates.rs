//! Secrets in a query, a form or a JSON document, and what a policy may put beside
//! them.

use crate::support::*;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request};
use keyward_names::RouteName;
use keyward_vault::*;

const PASSWORD: &str = "correct-horse-1";

fn basic_vault() -> (TestVault, Vault) {
    let (test, vault) = TestVault::with_secrets();
    let login = secret(&sample(Kind::Basic));
    vault
        .add(&name("login"), Kind::Basic, login, &actor())
        .unwrap();
    (test, vault)
}

/// A grant of `secret` as `backend`, for `POST /v1/charges`.
fn granted(secret: &str, terms: &str) -> String {
    format!(
        "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"{secret}\"\nalias = \"backend\"\n\
         use = \"attach\"\n\
         to = [{{ route = \"billing\", methods = [\"POST\"], paths = [\"/v1/charges\"] }}]\n\
         {terms}\n"
    )
}

fn chosen(holes: &[(&str, &str)]) -> Chosen {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Chosen::Holes(Holes::new(holes.iter().map(own).collect()).unwrap())
}

struct Sent {
    head: Parts,
    body: Option<String>,
    guard: Guard,
}

/// What leaves, or that it was refused, and where.
fn sent(vault: &Vault, path: &str, chosen: Chosen) -> Result<Sent, &'static str> {
    let mut ledger = new_ledger(vault);
    let permit = vault
        .permit::<uses::Attach>(&policy(&["backend"]), "backend", &mut ledger)
        .map_err(|_| "permit")?;
    let mut notes = Notes::default();
    notes.push(permit.note_with(chosen).map_err(|_| "note")?);
    write(vault, notes, ledger, path)
}

fn write(
    vault: &Vault,
    notes: Notes,
    mut ledger: Ledger,
    path: &str,
) -> Result<Sent, &'static str> {
    let target: PathAndQuery = path.parse().unwrap();
    let checked = notes.check(
        vault,
        &mut ledger,
        &Target {
            route: &RouteName::parse("billing").unwrap(),
            method: &Method::POST,
            address: "",
            authority: "billing.example",
            path_and_query: &target,
        },
    );
    let checked = checked.map_err(|_| "check")?;
    let durable = block_on(ledger.barrier()).unwrap();
    let request = Request::post(format!("https://billing.example{path}"))
        .header("content-type", "text/plain")
        .header("content-encoding", "gzip")
        .header("Content_Length", "7")
        .header("x-kept", "1");
    let mut head = request.body(()).unwrap().into_parts().0;
    let written = checked.write(&durable, &mut head, Some(b"{secret}"));
    let written = written.map_err(|_| "write")?;
    Ok(Sent {
        head,
        body: written
            .body
            .map(|body| String::from_utf8(body.to_vec()).unwrap()),
        guard: written.guard,
    })
}

fn set(vault: &Vault, text: &str) {
    vault.set_grants(grants(text), &actor()).unwrap();
}

#[test]
fn basic_is_the_base64_of_user_and_password_and_both_are_looked_for_in_answers() {
    let (_test, vault) = basic_vault();
    let terms = "header = \"authorization\"\ntemplate = \"Basic {secret}\"";
    set(&vault, &granted("login", terms));
    let sent = sent(&vault, "/v1/charges", Chosen::Nothing).unwrap();
    let encoded = data_encoding::BASE64.encode(format!("alice:{PASSWORD}").as_bytes());
    let value = &sent.head.headers["authorization"];
    assert_eq!(value, format!("Basic {encoded}").as_str());
    assert!(value.is_sensitive());
    assert!(sent.body.is_none());
    for echo in [
        encoded.clone(),
        PASSWORD.to_owned(),
        format!("alice:{PASSWORD}"),
        data_encoding::BASE64URL.encode(format!("it is alice:{PASSWORD}!").as_bytes()),
        PASSWORD.to_ascii_uppercase(),
        data_encoding::HEXLOWER.encode(PASSWORD.as_bytes()),
    ] {
        let mut stream = sent.guard.clone().stream(true);
        assert!(stream.push(echo.clone().into()).is_err(), "{echo}");
    }
    let mut stream = sent.guard.clone().stream(true);
    let harmless = format!("control: alice and {}", &PASSWORD[1..]);
    assert!(stream.push(harmless.into()).is_ok());
}

#[test]
fn a_short_password_is_sent_as_base64_and_not_alone() {
    let (_test, vault) = basic_vault();
    let login = secret("bob:12345678");
    vault
        .add(&name("short"), Kind::Basic, login, &actor())
        .unwrap();
    let terms = "header = \"authorization\"\ntemplate = \"Basic {secret}\"";
    set(&vault, &granted("short", terms));
    let encoded = sent(&vault, "/v1/charges", Chosen::Nothing).unwrap();
    let mut stream = encoded.guard.clone().stream(true);
    assert!(stream.push("Ym9iOjEyMzQ1Njc4".into()).is_err());
    let form = "form = { user = \"{user}\", password = \"{password}\" }";
    set(&vault, &granted("short", form));
    let refused = sent(&vault, "/v1/charges", Chosen::Nothing).err();
    assert_eq!(refused, Some("check"));
    set(
        &vault,
        &granted("short", &format!("{form}\nresponse = \"status-only\"")),
    );
    assert!(sent(&vault, "/v1/charges", Chosen::Nothing).is_ok());
}

#[test]
fn a_parameter_of_the_query_is_written_in_place_of_others_of_its_name() {
    let (_test, vault) = basic_vault();
    set(&vault, &granted("api", "query = \"api_key\""));
    let encoded = "sk_live_51HxKeyward%2BTest%2FValue%3D%3D";
    for (path, expected) in [
        ("/v1/charges", format!("/v1/charges?api_key={encoded}")),
        (
            "/v1/charges?a=%20&API%5fkey=mine&b&api_key=",
            format!("/v1/charges?a=%20&b&api_key={encoded}"),
        ),
    ] {
        let sent = sent(&vault, path, Chosen::Nothing).unwrap();
        assert_eq!(sent.head.uri.path_and_query().unwrap().as_str(), expected);
        assert_eq!(sent.head.uri.host(), Some("billing.example"));
    }
}

#[test]
fn a_form_is_the_whole_body_and_its_headers_are_the_hosts() {
    let (_test, vault) = basic_vault();
    let terms = "form = { grant_type = \"password\", username = \"{user}\", \
                 password = \"{password}\", scope = \"{scope}\" }\nholes = { scope = \"text\" }";
    set(&vault, &granted("login", terms));
    let holes = chosen(&[("scope", "read&admin=1 +é")]);
    let sent = sent(&vault, "/v1/charges", holes).unwrap();
    let body = sent.body.unwrap();
    assert_eq!(
        body,
        "grant_type=password&password=correct-horse-1&scope=read%26admin%3D1+%2B%C3%A9&username=alice"
    );
    let headers = &sent.head.headers;
    assert_eq!(headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(headers[CONTENT_LENGTH], body.len().to_string().as_str());
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept-encoding",
            "content-length",
            "content-type",
            "x-kept"
        ]
    );
}

#[test]
fn a_json_document_is_written_from_the_grant() {
    let (_test, vault) = basic_vault();
    let terms = "json = { auth = { key = \"{secret}\" }, n = \"{n}\", to = [\"{who}\", 1, true] }\n\
                 holes = { n = \"integer\", who = \"text\" }";
    set(&vault, &granted("api", terms));
    let holes = chosen(&[("n", "-3"), ("who", "\",\"admin\":\"")]);
    let body = sent(&vault, "/v1/charges", holes).unwrap().body.unwrap();
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "auth": { "key": API_KEY }, "n": -3, "to": ["\",\"admin\":\"", 1, true],
    });
    assert_eq!(value, expected);
}

#[test]
fn what_the_grant_does_not_let_be_chosen_is_refused() {
    let (_test, vault) = basic_vault();
    let terms =
        "header = \"x-key\"\ntemplate = \"{tenant}:{secret}\"\nholes = { tenant = \"token\" }";
    set(&vault, &granted("api", terms));
    let refused = |holes: &[(&str, &str)]| sent(&vault, "/v1/charges", chosen(holes)).err();
    assert_eq!(refused(&[("tenant", "a")]), None);
    for holes in [
        &[][..],
        &[("tenant", "a:b")],
        &[("tenant", "")],
        &[("other", "a")],
        &[("tenant", "a"), ("other", "a")],
    ] {
        assert_eq!(refused(holes), Some("note"), "{holes:?}");
    }
    let nothing = sent(&vault, "/v1/charges", Chosen::Nothing).err();
    assert_eq!(nothing, Some("note"));
}

#[test]
fn a_choice_is_held_against_the_grant_that_is_in_force_when_it_is_sent() {
    let (_test, vault) = basic_vault();
    let terms = |kind| {
        format!(
            "header = \"x-key\"\ntemplate = \"{{tenant}}:{{secret}}\"\nholes = {{ tenant = \"{kind}\" }}"
        )
    };
    set(&vault, &granted("api", &terms("text")));
    let note = || {
        let mut ledger = new_ledger(&vault);
        let permit = vault
            .permit::<uses::Attach>(&policy(&["backend"]), "backend", &mut ledger)
            .unwrap();
        let mut notes = Notes::default();
        notes.push(permit.note_with(chosen(&[("tenant", "a")])).unwrap());
        (notes, ledger)
    };
    let (notes, ledger) = note();
    assert!(
        write(&vault, notes, ledger, "/v1/charges").is_ok(),
        "control"
    );
    let (notes, ledger) = note();
    set(&vault, &granted("api", &terms("integer")));
    assert_eq!(
        write(&vault, notes, ledger, "/v1/charges").err(),
        Some("check")
    );
}

#[test]
fn a_part_that_the_secret_does_not_have_is_refused() {
    let (_test, vault) = basic_vault();
    let form = "form = { user = \"{user}\", password = \"{password}\" }";
    set(&vault, &granted("login", form));
    assert!(
        sent(&vault, "/v1/charges", Chosen::Nothing).is_ok(),
        "control"
    );
    set(&vault, &granted("api", form));
    assert_eq!(
        sent(&vault, "/v1/charges", Chosen::Nothing).err(),
        Some("check")
    );
}

#[test]
fn a_signature_covers_what_templates_wrote() {
    let (_test, vault) = basic_vault();
    let sign = |secret: &str| grant("s", secret, "signer", Use::SignRequest);
    let body = "json = { key = \"{secret}\" }";
    let parts = |text: &str| {
        set(&vault, text);
        let mut ledger = new_ledger(&vault);
        let asks = policy(&["backend", "signer"]);
        let mut notes = Notes::default();
        // The order of the notes is not the order of the work.
        let signer = vault.permit::<uses::SignRequest>(&asks, "signer", &mut ledger);
        notes.push(signer.unwrap().note());
        let backend = vault.permit::<uses::Attach>(&asks, "backend", &mut ledger);
        notes.push(backend.unwrap().note());
        assert_eq!(notes.needs_body(), (!notes.write_body()).then_some(1 << 20));
        write(&vault, notes, ledger, "/v1/charges").unwrap()
    };
    let sent = parts(&(granted("api", body) + &sign("mac")));
    let written = sent.body.unwrap();
    let digest = aws_lc_digest(written.as_bytes());
    assert_eq!(sent.head.headers["content-digest"], digest.as_str());
    // Control: with the value elsewhere, it is the request's own body that is signed.
    let sent = parts(&(granted("api", "header = \"x-api-key\"") + &sign("mac")));
    let digest = aws_lc_digest(b"{secret}");
    assert_eq!(sent.head.headers["content-digest"], digest.as_str());
}

fn aws_lc_digest(body: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(body);
    format!("sha-256=:{}:", data_encoding::BASE64.encode(&digest))
}

#[test]
fn a_grant_that_writes_the_body_no_more_does_not_send_a_request_without_one() {
    let header = granted("api", "header = \"x-api-key\"");
    let form = granted("api", "form = { key = \"{secret}\" }");
    let json = granted("api", "json = { key = \"{secret}\" }");
    for (first, then, refused) in [
        (&form, &header, Some("check")),
        (&header, &json, Some("check")),
        (&form, &json, None),
        (&header, &header, None),
    ] {
        let (_test, vault) = basic_vault();
        set(&vault, first);
        let mut ledger = new_ledger(&vault);
        let policy = policy(&["backend"]);
        let permit = vault.permit::<uses::Attach>(&policy, "backend", &mut ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note());
        set(&vault, then);
        let sent = write(&vault, notes, ledger, "/v1/charges");
        assert_eq!(sent.err(), refused);
    }
}
