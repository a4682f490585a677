use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;
use sha2::{Digest, Sha256};

const GRANT: &str = r#"
[[grant]]
id = "aws"
policy = "aws-sigv4"
secret = "access-key"
alias = "aws"
use = "sign-request"
scheme = "sigv4"
region = "eu-west-1"
service = "execute-api"
to = [{ route = "orders", paths = ["/orders/{id}"] }]
"#;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[tokio::test]
async fn the_backend_can_verify_the_signature() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .secret(
            "access-key",
            Kind::AwsKey,
            &format!(
                "aws_access_key_id = ASIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n\
                 aws_session_token = a-session-token-of-some-length\n"
            ),
        )
        .grants(GRANT)
        .route("orders", &backend.url())
        .inbound("aws-sigv4", json!({}))
        .build();
    let request = Request::post("/orders/a%20b?z=1&a=%2F")
        .header("content-type", "text/plain")
        .body(Bytes::from("hello"))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    let received = backend.received().into_iter().next().unwrap();
    let host = backend.url().trim_start_matches("http://").to_owned();
    let time = received.header("x-amz-date").unwrap();
    let (day, payload) = (&time[..8], hash(b"hello"));
    let names = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token";
    let canonical = format!(
        "POST\n/orders/a%2520b\na=%2F&z=1\ncontent-type:text/plain\nhost:{host}\n\
         x-amz-content-sha256:{payload}\nx-amz-date:{time}\n\
         x-amz-security-token:a-session-token-of-some-length\n\n{names}\n{payload}"
    );
    let scope = format!("{day}/eu-west-1/execute-api/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hash(canonical.as_bytes())
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [day, "eu-west-1", "execute-api", "aws4_request"] {
        key = hmac(&key, part);
    }
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=ASIAIOSFODNN7EXAMPLE/{scope}, SignedHeaders={names}, Signature={}",
        HEXLOWER.encode(&hmac(&key, &text))
    );
    assert_eq!(received.header("authorization"), Some(expected.as_str()));
}
