//! Rotation under load, where it is the source that has new values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use keyward_tests::key_vault::Azure;
use keyward_tests::{Canary, Served};
use tokio::task::JoinSet;

const CLIENTS: u64 = 8;
const REQUESTS: u64 = 1000;
/// How many values have to have been in use, however quick the requests are.
const VALUES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// When a request began and ended.
type Times = BTreeMap<u64, (Instant, Instant)>;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_requests_none_fails_while_the_source_has_a_new_value_again_and_again() {
    let azure = Arc::new(Azure::start());
    // In the order in which the source has them.
    let known = Arc::new(Mutex::new(vec![Canary::new().text().to_owned()]));
    azure.change(|state| state.set("key", &known.lock().unwrap()[0]));
    let sources = azure.section("ca.pem") + "refresh = \"1s\"\n";
    let authority = azure.authority_pem().as_bytes();
    let served = Arc::new(Served::start(&sources, authority, "shop:key").await);

    let over = Arc::new(AtomicBool::new(false));
    let changing = tokio::spawn({
        let (azure, known, over) = (Arc::clone(&azure), Arc::clone(&known), Arc::clone(&over));
        async move {
            let mut each = tokio::time::interval(Duration::from_millis(200));
            while !over.load(Ordering::Relaxed) {
                each.tick().await;
                let new = Canary::new().text().to_owned();
                // Known before anybody can have it.
                known.lock().unwrap().push(new.clone());
                azure.change(|state| state.set("key", &new));
            }
        }
    });
    let (begun, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(load(Arc::clone(&served), Arc::clone(&begun), start));
    }
    let mut times = Times::new();
    while let Some(came) = clients.join_next().await {
        times.extend(came.unwrap());
    }
    over.store(true, Ordering::Relaxed);
    changing.await.unwrap();
    judge(&served, &known.lock().unwrap(), &times);
    let Ok(served) = Arc::try_unwrap(served) else {
        panic!("nobody else has it");
    };
    served.stop().await;
}

/// Sends requests, each of which has to be answered well, until there were enough of
/// requests and of values.
async fn load(served: Arc<Served>, begun: Arc<AtomicU64>, start: Instant) -> Times {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut times = Times::new();
    loop {
        let number = begun.fetch_add(1, Ordering::Relaxed);
        let keyward = served.gateway.keyward();
        let version = keyward.vault().info(&Served::secret()).unwrap().version;
        if number >= REQUESTS && usize::try_from(version).unwrap() > VALUES {
            return times;
        }
        assert!(start.elapsed() < PATIENCE, "{version} values in a minute");
        let request = Request::get(format!("http://{}/v1/charges", served.address()))
            .header("x-number", number)
            .body(Full::default());
        let began = Instant::now();
        let answer = client.request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "request {number}");
        answer.into_body().collect().await.unwrap();
        times.insert(number, (began, Instant::now()));
    }
}

/// Each request has one key, which the source had, and none has an older one than a
/// request that had ended before it began.
fn judge(served: &Served, known: &[String], times: &Times) {
    let received = served.received();
    assert_eq!(received.len(), times.len(), "each is sent once");
    assert!(u64::try_from(times.len()).unwrap() >= REQUESTS);
    let mut sent = Vec::new();
    for received in received {
        let keys: Vec<_> = received.headers.get_all("x-api-key").iter().collect();
        let [key] = keys[..] else {
            panic!("{} keys in one request", keys.len());
        };
        let place = known.iter().position(|known| key == known.as_str());
        let place = place.expect("the source never had this value");
        let number: u64 = received.header("x-number").unwrap().parse().unwrap();
        sent.push((times[&number], place));
    }
    let places: BTreeSet<usize> = sent.iter().map(|(_, place)| *place).collect();
    assert!(places.len() >= VALUES, "{places:?}");
    sent.sort_by_key(|((began, _), _)| *began);
    let mut ended: Vec<_> = sent
        .iter()
        .map(|((_, ended), place)| (*ended, *place))
        .collect();
    ended.sort();
    let (mut newest, mut ended) = (0, ended.into_iter().peekable());
    for ((began, _), place) in sent {
        while let Some((_, place)) = ended.next_if(|(ended, _)| *ended < began) {
            newest = newest.max(place);
        }
        assert!(place >= newest, "{place} after {newest}");
    }
}
