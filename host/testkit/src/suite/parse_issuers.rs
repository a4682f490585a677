//! Reading the issuers whose tokens a suite's policies may have checked.

use std::time::Duration;

use http::uri::PathAndQuery;
use keyward::names::{IssuerName, RouteName};
use keyward::vault::{TokenAlgorithm, TokenRules};
use keyward::{Issuer, KeysAt};

use super::node::Entry;
use super::parse::{Known, named};
use super::reader::Table;

/// The most seconds by which clocks may differ.
const MAX_SKEW_SECONDS: u64 = 600;

pub(crate) fn issuers(table: &Table<'_>, known: &Known<'_>) -> Vec<Issuer> {
    let all = table.table("issuers", "[issuers]");
    let mut issuers = Vec::new();
    for Entry { key, span, node } in all.iter().flat_map(Table::entries) {
        let Some(section) = Table::of("[issuers.NAME]", node, table.wrongs) else {
            continue;
        };
        let name = named::<IssuerName>(key, span, table.wrongs);
        let issuer = section.text("issuer");
        if issuer.is_none() {
            section.missing("issuer", "\"https://login.example\"");
        }
        let route = section.parsed::<RouteName>("route");
        match &route {
            Some(route) => known.check_route(route),
            None => section.missing("route", "\"login\""),
        }
        let keys = section.parsed::<PathAndQuery>("jwks");
        let algorithms = section.parsed_list::<TokenAlgorithm>("algorithms");
        let algorithms = match algorithms {
            None => vec![TokenAlgorithm::Rs256],
            Some(all) => all.into_iter().map(|one| one.value).collect(),
        };
        let audiences = section.parsed_list::<String>("audiences");
        let audiences = audiences.unwrap_or_default();
        let skew = section.whole("clock-skew-seconds", 0, MAX_SKEW_SECONDS);
        section.finish();
        let (Some(name), Some(issuer), Some(route)) = (name, issuer, route) else {
            continue;
        };
        issuers.push(Issuer {
            name,
            route: route.value,
            keys: KeysAt::Path(match keys {
                Some(keys) => keys.value,
                None => PathAndQuery::from_static("/keys"),
            }),
            algorithms,
            rules: TokenRules {
                issuer: Some(issuer.value.to_owned()),
                audiences: audiences.into_iter().map(|one| one.value).collect(),
                clock_skew_seconds: skew.map_or(30, |skew| skew.value),
            },
            refresh: Duration::from_secs(3600),
            unknown_key_floor: Duration::from_secs(60),
            max_age: Duration::from_secs(86_400),
        });
    }
    issuers
}
