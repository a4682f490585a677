//! URLs of routes that someone could read differently: B3, B4, B5. The second reader
//! is the WHATWG's algorithm, which browsers and many clients follow.

use keyward_egress::{Route, RouteError};

use crate::common::route_name;

/// Host and port as the other reader sees them.
fn elsewhere(url: &str) -> Option<(String, u16)> {
    let url = url::Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}

/// Host and port of the route that Keyward makes.
fn here(url: &str) -> Result<(String, u16), RouteError> {
    let route = Route::new(route_name(), url)?;
    let authority: http::uri::Authority = route.authority().parse().unwrap();
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(match route.scheme() {
        keyward_egress::Scheme::Https => 443,
        keyward_egress::Scheme::Http => 80,
        keyward_egress::Scheme::Postgres => 5432,
    });
    Ok((host, port))
}

const TEMPLATES: [&str; 44] = [
    "https://good.example@evil.example/",
    "https://good.example:443@evil.example/",
    "https://good.example\\@evil.example/",
    "https://good.example\\.evil.example/",
    "https://good.example%2f.evil.example/",
    "https://good.example%00.evil.example/",
    "https://good.example%20.evil.example",
    "https://good.example#@evil.example/",
    "https://good.example?@evil.example/",
    "https://good.example;evil.example/",
    "https://good.example,evil.example/",
    "https://good.example&@evil.example",
    "https://good.example\t.evil.example/",
    "https://good.example\r\n.evil.example/",
    "https://good.example\n/",
    "\thttps://good.example/",
    " https://good.example/",
    "https://good.example /",
    "https:///good.example/",
    "https:////good.example/",
    "https:/good.example/",
    "https:good.example/",
    "https:\\\\good.example/",
    "https://\\good.example/",
    "https:/\\good.example/",
    "//good.example/",
    "https://good.example:443:80/",
    "https://good.example:+443/",
    "https://good.example: 443/",
    "https://good.example:00443/",
    "https://good.example:65536/",
    "https://good.example:4４3/",
    "https://[good.example]/",
    "https://[::1%25eth0]/",
    "https://[::1%eth0]/",
    "https://[::1]evil.example/",
    "https://[::ffff:127.0.0.1]:443/",
    "https://good.example./",
    "https://.good.example/",
    "https://good..example/",
    "https://GOOD.example/",
    "https://user:pass@good.example/",
    "https://@good.example/",
    "https://:@good.example/",
];

#[test]
fn a_url_that_two_readers_read_differently_makes_no_route() {
    let mut made = 0;
    for url in TEMPLATES {
        if let Ok(here) = here(url) {
            assert_eq!(Some(here.clone()), elsewhere(url).map(canonical), "{url:?}");
            assert_ne!(here.0, "evil.example", "{url:?}");
            made += 1;
        }
    }
    assert!(made < 6, "{made} of {}", TEMPLATES.len());
}

/// The other reader spells addresses in its own way.
fn canonical((host, port): (String, u16)) -> (String, u16) {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) if address.to_ipv4_mapped().is_some() => (
            format!("::ffff:{}", address.to_ipv4_mapped().unwrap()),
            port,
        ),
        _ => (host, port),
    }
}

#[test]
fn control_the_other_reader_is_led_astray() {
    let astray = |url: &str| elsewhere(url).unwrap().0;
    assert_eq!(astray("https://good.example@evil.example/"), "evil.example");
    assert_eq!(astray("https:/\\evil.example/"), "evil.example");
    assert_eq!(
        astray("https://evil.example\\@good.example/"),
        "evil.example"
    );
    assert_eq!(astray("https://good\t.example/"), "good.example");
}

/// Names that a mapping of Unicode, or a reader of numbers, turns into something
/// else.
const MAPPED: [&str; 20] = [
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.0.0.1/",
    "https://¹²⁷.⁰.⁰.¹/",
    "https://127。0。0。1/",
    "https://169。254。169。254/",
    "https://ⓖⓞⓞⓓ.example/",
    "https://good.examp\u{ad}le/",
    "https://g\u{200b}ood.example/",
    "https://gооd.example/",
    "https://faß.example/",
    "https://good.exam℡e/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://4294967297/",
];

#[test]
fn a_name_that_another_mapping_would_change_makes_no_route() {
    for url in MAPPED {
        assert!(here(url).is_err(), "{url}");
    }
}

#[test]
fn control_another_mapping_makes_addresses_of_them() {
    let address = |url: &str| elsewhere(url).map(|(host, _)| host);
    for url in [
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
    ] {
        assert_eq!(address(url).as_deref(), Some("127.0.0.1"), "{url}");
    }
    assert_eq!(
        address("https://169。254。169。254/").as_deref(),
        Some("169.254.169.254")
    );
}
