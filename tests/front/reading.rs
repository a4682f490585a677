//! What HTTP allows and servers read differently: refused, unless the configuration
//! says that a user needs it. Each key is the control of what happens without it.

use keyward_tests::Backend;

use crate::support::{all_to, get, raw, start, status};

fn method(method: &str) -> String {
    get("/", "").replacen("GET", method, 1)
}

#[tokio::test]
async fn a_method_that_a_pipeline_does_not_take_reaches_no_backend() {
    let backend = Backend::start().await;
    let usual = start("", &all_to(&backend.url()), &[]).await;
    let named = all_to(&backend.url()) + "methods = [\"GET\", \"PROPFIND\"]\n";
    let named = start("", &named, &[]).await;
    for (running, taken, refused, allowed) in [
        (
            &usual,
            &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"][..],
            &["PROPFIND", "BREW", "GETS", "M-SEARCH", "TRACE"][..],
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            &named,
            &["GET", "PROPFIND"],
            &["POST", "BREW", "TRACE"],
            "GET, PROPFIND",
        ),
    ] {
        for taken in taken {
            let answer = raw(running.address, &method(taken)).await;
            assert_eq!(status(&answer), "200", "{taken}: {answer}");
            assert_eq!(
                backend.received().last().unwrap().target,
                format!("{taken} /")
            );
        }
        let before = backend.received().len();
        for refused in refused {
            let answer = raw(running.address, &method(refused)).await;
            assert_eq!(status(&answer), "405", "{refused}: {answer}");
            let allow = format!("\r\nallow: {allowed}\r\n");
            assert!(answer.contains(&allow), "{refused}: {answer}");
        }
        assert_eq!(backend.received().len(), before);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_with_what_is_served_unless_it_is_allowed() {
    let backend = Backend::start().await;
    let request = "GET / HTTP/1.0\r\nHost: api.example\r\n\r\n";
    let running = start("", &all_to(&backend.url()), &[]).await;
    let answer = raw(running.address, request).await;
    assert_eq!(status(&answer), "426", "{answer}");
    assert!(answer.contains("\r\nupgrade: HTTP/1.1\r\n"), "{answer}");
    assert_eq!(backend.received().len(), 0);
    let running = start("http-1-0 = true", &all_to(&backend.url()), &[]).await;
    let answer = raw(running.address, request).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(backend.received().len(), 1);
    // Who asks whether the gateway lives may still speak it.
    let admin = "[gateway.admin]\nlisten = \"127.0.0.1:0\"\n";
    let running = start(admin, &all_to(&backend.url()), &[]).await;
    let answer = raw(running.admin.unwrap(), "GET /live HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), "200", "{answer}");
}

#[tokio::test]
async fn a_field_with_an_underscore_is_refused_left_out_or_passed_on() {
    let backend = Backend::start().await;
    let asked = get("/", "X_User: admin\r\nX-Other: 1\r\n");
    for (gateway, expected, passes) in [
        ("", "400", false),
        ("underscores = \"refuse\"", "400", false),
        ("underscores = \"drop\"", "200", false),
        ("underscores = \"keep\"", "200", true),
    ] {
        let before = backend.received().len();
        let running = start(gateway, &all_to(&backend.url()), &[]).await;
        let answer = raw(running.address, &asked).await;
        assert_eq!(status(&answer), expected, "{gateway}: {answer}");
        let received = &backend.received()[before..];
        assert_eq!(received.len(), usize::from(expected == "200"), "{gateway}");
        for received in received {
            assert_eq!(received.header("x_user").is_some(), passes, "{gateway}");
            assert_eq!(received.header("x-other"), Some("1"), "{gateway}");
        }
    }
}

#[tokio::test]
async fn a_field_that_would_change_the_method_or_the_path_is_left_out_or_passed_on() {
    let backend = Backend::start().await;
    let asked = get(
        "/",
        "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Other: 1\r\n",
    );
    for (gateway, passes) in [
        ("", false),
        ("overrides = \"drop\"", false),
        ("overrides = \"keep\"", true),
    ] {
        let running = start(gateway, &all_to(&backend.url()), &[]).await;
        let answer = raw(running.address, &asked).await;
        assert_eq!(status(&answer), "200", "{gateway}: {answer}");
        let received = backend.received().pop().unwrap();
        for name in ["x-http-method-override", "x-original-url", "x-rewrite-url"] {
            assert_eq!(received.header(name).is_some(), passes, "{gateway} {name}");
        }
        assert_eq!(received.header("x-other"), Some("1"), "{gateway}");
    }
}
