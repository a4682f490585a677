//! The gateway's front, as clients meet it: sockets on one side, a backend on the
//! other, a configuration file between.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod calls;
mod certificates;
mod grpc;
mod http2;
mod limits;
mod paths;
mod proxies;
mod reading;
mod support;
mod upgrades;
