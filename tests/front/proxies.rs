//! For whom a request is, as policies and backends see it.

use keyward_tests::{Backend, policy_file};

use crate::support::{all_to, get, raw, start, status};

#[tokio::test]
async fn backends_can_believe_what_proxies_write() {
    let said = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=198.51.100.1\r\n\
        X-Forwarded-Client-Cert: By=a\r\nX_Forwarded_For: 203.0.113.9\r\n\
        Connection: close, x-forwarded-for\r\n";
    for (gateway, expected) in [
        ("", None),
        ("forwarded = \"x-forwarded\"", Some("127.0.0.1")),
        (
            "forwarded = \"x-forwarded\"\ntrusted-proxies = [\"127.0.0.0/8\"]",
            Some("203.0.113.9"),
        ),
    ] {
        let backend = Backend::start().await;
        // Fields with `_` are refused otherwise.
        let gateway = format!("underscores = \"keep\"\n{gateway}");
        let running = start(&gateway, &all_to(&backend.url()), &[]).await;
        let answer = raw(running.address, &get("/", said)).await;
        assert_eq!(status(&answer), "200", "{answer}");
        let received = &backend.received()[0];
        assert_eq!(received.header("x-forwarded-for"), expected, "{gateway}");
        for name in ["forwarded", "x-forwarded-client-cert", "x_forwarded_for"] {
            assert_eq!(received.header(name), None, "{gateway} {name}");
        }
    }
}

#[tokio::test]
async fn policies_decide_about_the_client_behind_a_trusted_proxy() {
    let backend = Backend::start().await;
    let policy = policy_file("ip-filter");
    let rest = format!(
        "[[route]]\nname = \"backend\"\nurl = \"{}\"\n\
         [[policy]]\nname = \"filter\"\ncomponent = \"{}\"\nsettings = {{ allow = [\"203.0.113.0/24\"] }}\n\
         [[pipeline]]\npath = \"/\"\nroute = \"backend\"\ninbound = [\"filter\"]\n",
        backend.url(),
        policy.display()
    );
    let said = "X-Forwarded-For: 203.0.113.9\r\n";
    let running = start("trusted-proxies = [\"127.0.0.1\"]", &rest, &[]).await;
    assert_eq!(status(&raw(running.address, &get("/", said)).await), "200");
    assert_eq!(status(&raw(running.address, &get("/", "")).await), "403");
    // The client behind the proxy can't have its word taken out, and its own counted.
    let forged = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=203.0.113.9\r\n\
        Connection: x-forwarded-for\r\n";
    let answer = raw(running.address, &get("/", forged)).await;
    assert_eq!(status(&answer), "403");
    let named = format!("{said}Connection: x-forwarded-for\r\n");
    let answer = raw(running.address, &get("/", &named)).await;
    assert_eq!(status(&answer), "200");
    // Who isn't trusted can't speak for another.
    let running = start("", &rest, &[]).await;
    assert_eq!(status(&raw(running.address, &get("/", said)).await), "403");
}
