//! A world in which there is nothing but chance.

use keyward_engine::{
    LogLine, Outside, OutsideFuture, OutsideRequest, OutsideResponse, SendFailure,
};
use keyward_vault::{Ledger, fill_random};

pub(crate) struct Nowhere;

impl Outside for Nowhere {
    fn send<'a>(
        &'a self,
        _: OutsideRequest,
        _: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>> {
        Box::pin(async { Err(SendFailure::Unavailable) })
    }

    fn sleep(&self, _: u64) -> OutsideFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> u64 {
        0
    }

    fn random(&self, into: &mut [u8]) {
        fill_random(into);
    }

    fn log(&self, _: &LogLine) {}
}
