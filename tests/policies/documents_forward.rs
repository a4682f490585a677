//! Where documents have the host send the request, and where they send it themselves: what
//! holds a sandbox while the backend answers, and what ends a backend that is late.

use std::sync::Arc;

use http::StatusCode;
use keyward_tests::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::documents::{folder, grant, header};
use crate::folder::Folder;

/// A backend that answers each request once it is told to.
struct Slow {
    url: String,
    arrived: mpsc::UnboundedReceiver<()>,
    answers: Arc<Semaphore>,
    server: JoinHandle<()>,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, arrived) = mpsc::unbounded_channel();
        let answers = Arc::new(Semaphore::new(0));
        let may = Arc::clone(&answers);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, told.clone(), Arc::clone(&may)));
            }
        });
        Self {
            url,
            arrived,
            answers,
            server,
        }
    }

    async fn arrives(&mut self) {
        self.arrived.recv().await.unwrap();
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads the head of one request, which has no body, and answers when it may.
async fn answer(mut stream: TcpStream, told: mpsc::UnboundedSender<()>, may: Arc<Semaphore>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = told.send(());
    may.acquire().await.unwrap().forget();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A document with this backend section.
fn document(inbound: &str, backend: &str) -> String {
    format!(
        r#"<policies><inbound>{inbound}</inbound><backend>{backend}</backend><outbound/>
        <on-error><set-header name="x-why" exists-action="override"><value>@(context.LastError.Source + " " + context.LastError.Reason + " " + context.LastError.Section + "/" + context.LastError.Path)</value></set-header></on-error></policies>"#
    )
}

/// The policy that runs the document has these keys, too.
fn policy(folder: &Folder, keys: &str) {
    let file = folder.path().join("keyward.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let name = "name = \"document\"\n";
    assert_eq!(text.matches(name).count(), 1);
    folder.write(
        "keyward.toml",
        &text.replace(name, &format!("{name}{keys}\n")),
    );
}

/// Another route, and the end of the configuration.
fn route(name: &str, url: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\nurl = \"{url}\"\n")
}

/// Statements that send the request as the last thing of the section; `other` is an address.
fn planned(other: &str) -> [String; 3] {
    [
        "<forward-request timeout=\"30\" />".to_owned(),
        format!("<set-backend-service base-url=\"{other}\" /><forward-request />"),
        "<set-backend-service backend-id=\"other\" /><forward-request timeout-ms=\"30000\" />"
            .to_owned(),
    ]
}

#[tokio::test]
async fn a_backend_that_is_slow_holds_no_sandbox_of_a_document() {
    let mut backend = Slow::start().await;
    for section in planned(&backend.url) {
        let text = document("", &section);
        let folder = folder(&backend.url, &text, &route("other", &backend.url));
        policy(&folder, "concurrent-calls = 1\nroutes = [\"other\"]");
        let serves = folder.open().unwrap();
        // The second one comes while the first was not answered.
        let later = async {
            backend.arrives().await;
            let mut second = Box::pin(serves.get("/b"));
            tokio::select! {
                refused = &mut second => panic!("{section}: {refused:?}"),
                () = backend.arrives() => backend.answers.add_permits(2),
            }
            second.await
        };
        let (first, second) = tokio::join!(serves.get("/a"), later);
        assert_eq!(first.status(), StatusCode::OK, "{section}: {first:?}");
        assert_eq!(second.status(), StatusCode::OK, "{section}: {second:?}");
    }
}

#[tokio::test]
async fn control_a_document_that_looks_at_the_answer_holds_its_sandbox() {
    let mut backend = Slow::start().await;
    for section in [
        "<retry condition=\"@(context.Response.StatusCode == 503)\" count=\"1\"><forward-request timeout=\"30\" /></retry>",
        "<forward-request timeout=\"30\" fail-on-error-status-code=\"true\" />",
        "<forward-request timeout=\"30\" /><set-variable name=\"a\" value=\"b\" />",
    ] {
        let folder = folder(&backend.url, &document("", section), "");
        policy(&folder, "concurrent-calls = 1");
        let serves = folder.open().unwrap();
        let later = async {
            backend.arrives().await;
            let refused = serves.get("/b").await;
            backend.answers.add_permits(1);
            refused
        };
        let (first, refused) = tokio::join!(serves.get("/a"), later);
        assert_eq!(first.status(), StatusCode::OK, "{section}: {first:?}");
        let expected = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(refused.status(), expected, "{section}: {refused:?}");
    }
}

#[tokio::test]
async fn a_backend_that_is_late_ends_in_on_error_wherever_it_is_waited_for() {
    let backend = Slow::start().await;
    for (section, place) in [
        (
            "<forward-request timeout-ms=\"20\" />",
            "forward-request[1]",
        ),
        (
            "<set-backend-service backend-id=\"other\" /><forward-request timeout-ms=\"20\" />",
            "forward-request[1]",
        ),
        // As where the document waits itself.
        (
            "<choose><when condition=\"@(true)\"><forward-request timeout-ms=\"20\" /></when></choose>",
            "choose[1]/when[1]/forward-request[1]",
        ),
    ] {
        let text = document("", section);
        let folder = folder(&backend.url, &text, &route("other", &backend.url));
        policy(&folder, "routes = [\"other\"]");
        let answer = folder.open().unwrap().get("/a").await;
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
        let why = format!("forward-request Timeout backend/{place}");
        assert_eq!(header(&answer, "x-why"), Some(why.as_str()), "{section}");
    }
}

#[tokio::test]
async fn a_planned_request_goes_where_it_was_planned_to_and_its_path_is_changed_once() {
    let (own, other) = (Backend::start().await, Backend::start().await);
    let base = format!("{}/v2/", other.url());
    let text = format!(
        r#"<policies><inbound><set-backend-service base-url="{base}" /></inbound>
        <backend><forward-request timeout="30" /></backend>
        <outbound><set-header name="x-path" exists-action="override"><value>@(context.Request.Url.Path)</value></set-header></outbound><on-error/></policies>"#
    );
    let folder = folder(&own.url(), &text, &route("other", &other.url()));
    policy(&folder, "routes = [\"other\"]");
    let answer = folder.open().unwrap().get("/charges?a=1").await;
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    assert_eq!(header(&answer, "x-path"), Some("/v2/charges"));
    assert_eq!(other.received()[0].target, "GET /v2/charges?a=1");
    assert!(own.received().is_empty());
}

const ATTACHES: &str =
    r#"<set-header name="x-api-key" exists-action="override"><value>{{key}}</value></set-header>"#;

#[tokio::test]
async fn a_secret_goes_with_a_planned_request_where_its_grant_says_and_nowhere_else() {
    let (own, other) = (Backend::start().await, Backend::start().await);
    // The grant is for the pipeline's route.
    for (section, arrives) in [
        ("<forward-request timeout=\"30\" />", true),
        (
            "<set-backend-service backend-id=\"other\" /><forward-request />",
            false,
        ),
    ] {
        let text = document(ATTACHES, section);
        let folder = folder(&own.url(), &text, &route("other", &other.url()));
        policy(&folder, "routes = [\"other\"]");
        grant(&folder);
        let answer = folder.open().unwrap().get("/v1/charges").await;
        if arrives {
            assert_eq!(answer.status(), StatusCode::OK, "control: {answer:?}");
            let received = own.received();
            assert_eq!(received[0].header("x-api-key"), Some(folder.key.text()));
        } else {
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(
                header(&answer, "x-why")
                    .unwrap()
                    .starts_with("forward-request ")
            );
        }
    }
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_request_of_ones_own_ends_when_its_time_is_over() {
    let slow = Slow::start().await;
    let backend = Backend::start().await;
    let call = |attributes: &str| {
        format!(
            r#"<send-request response-variable-name="r" timeout="1" {attributes}><set-url>{}/a</set-url><set-method>GET</set-method></send-request>
            <set-header name="x-null" exists-action="override"><value>@((context.Variables["r"] == null).ToString())</value></set-header>"#,
            slow.url
        )
    };
    for (attributes, status) in [
        ("", StatusCode::INTERNAL_SERVER_ERROR),
        ("ignore-error=\"true\"", StatusCode::OK),
    ] {
        let text = document(&call(attributes), "<forward-request />");
        let folder = folder(&backend.url(), &text, &route("slow", &slow.url));
        // Of its own time there is plenty.
        policy(
            &folder,
            "routes = [\"slow\"]\nlimits = { wall-milliseconds = 600000 }",
        );
        let answer = folder.open().unwrap().get("/a").await;
        assert_eq!(answer.status(), status, "{answer:?}");
        if attributes.is_empty() {
            let why = "send-request Timeout inbound/send-request[1]";
            assert_eq!(header(&answer, "x-why"), Some(why));
        } else {
            assert_eq!(backend.received()[0].header("x-null"), Some("True"));
        }
    }
    // Control: one that answers in time, as the two before it are told to now.
    slow.answers.add_permits(3);
    let folder = folder(
        &backend.url(),
        &document(&call(""), "<forward-request />"),
        &route("slow", &slow.url),
    );
    policy(&folder, "routes = [\"slow\"]");
    let answer = folder.open().unwrap().get("/a").await;
    assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
    assert_eq!(backend.received()[1].header("x-null"), Some("False"));
}
