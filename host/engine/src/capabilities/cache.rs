//! The cache: shared by all calls of a policy, so what is kept, what is forgotten and
//! what is used last waits for the audit trail, as counters do.

use crate::bindings::keyward::policy::cache::{CacheFailure, Host};
use crate::state::CallState;
use crate::value_cache::Room;

const MOST_KEY_BYTES: usize = 1_024;
const MOST_SECONDS: u32 = 31_536_000;

fn is_key(key: &str) -> bool {
    (1..=MOST_KEY_BYTES).contains(&key.len())
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.enter_with(key.len())?;
        if !is_key(&key) || !self.settled().await {
            return Ok(None);
        }
        let now = self.exchange.outside.monotonic();
        let policy = &self.policy.identity.name;
        let value = self.shared.values.get(policy, &key, now);
        Ok(value.map(|value| value.to_vec()))
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        seconds: u32,
    ) -> wasmtime::Result<Result<(), CacheFailure>> {
        self.enter_with(key.len().saturating_add(value.len()))?;
        if !is_key(&key) || !(1..=MOST_SECONDS).contains(&seconds) {
            return Ok(Err(CacheFailure::Invalid));
        }
        let limits = &self.policy.limits;
        if value.len() > limits.cache_value_bytes {
            return Ok(Err(CacheFailure::Limit));
        }
        let room = Room {
            values: limits.cache_values,
            bytes: limits.cache_bytes,
        };
        if !self.settled().await {
            return Ok(Err(CacheFailure::Unavailable));
        }
        let now = self.exchange.outside.monotonic();
        let ends_at = now.saturating_add(u64::from(seconds).saturating_mul(1000));
        let policy = &self.policy.identity.name;
        let values = &self.shared.values;
        Ok(
            match values.set(policy, &key, value.into(), ends_at, room) {
                true => Ok(()),
                false => Err(CacheFailure::Limit),
            },
        )
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<(), CacheFailure>> {
        self.enter_with(key.len())?;
        if !is_key(&key) {
            return Ok(Err(CacheFailure::Invalid));
        }
        if !self.settled().await {
            return Ok(Err(CacheFailure::Unavailable));
        }
        let policy = &self.policy.identity.name;
        self.shared.values.remove(policy, &key);
        Ok(Ok(()))
    }
}
