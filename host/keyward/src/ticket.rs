//! Tickets: what connects a request on its way through an embedder's middleware
//! with the exchange that it belongs to.
//!
//! A ticket is for one use. No code outside of this crate can name its type, so
//! none can take it out of a request, print it or look into it; a copy of the
//! request has a copy of the ticket, and the first of the two that reaches egress
//! uses it up. It holds notes, which are names and no values, and it is over when
//! the exchange is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Response};
use keyward_egress::{Body, EgressError, Outgoing};
use keyward_names::RouteName;
use keyward_vault::{Ledger, Notes};

use crate::builder::Keyward;
use crate::report::BackendCall;

/// A handle on an exchange's right to be sent, once.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<State>>);

enum State {
    /// It is on its way through the embedder's middleware.
    Issued(Box<Issued>),
    /// Egress is sending.
    Used,
    /// Egress has sent, or has tried.
    Returned(Ledger, Option<BackendCall>),
    /// The exchange is over.
    Over,
}

struct Issued {
    keyward: Keyward,
    ledger: Ledger,
    notes: Notes,
    upgrade: Option<HeaderValue>,
}

impl Ticket {
    /// A ticket for an exchange of `keyward`, whose ledger it keeps until
    /// [`Ticket::redeem`].
    pub(crate) fn issue(
        keyward: Keyward,
        ledger: Ledger,
        notes: Notes,
        upgrade: Option<HeaderValue>,
    ) -> Self {
        let issued = Issued {
            keyward,
            ledger,
            notes,
            upgrade,
        };
        Ticket(Arc::new(Mutex::new(State::Issued(Box::new(issued)))))
    }

    /// Ends it. Gives the ledger back, and how the call of the backend went if
    /// there was one; nothing if egress is still sending.
    pub(crate) fn redeem(&self) -> Option<(Ledger, Option<BackendCall>)> {
        match std::mem::replace(&mut *self.lock(), State::Over) {
            State::Issued(issued) => Some((issued.ledger, None)),
            State::Returned(ledger, call) => Some((ledger, call)),
            State::Used | State::Over => None,
        }
    }

    /// Uses it up; nothing if that was done before.
    pub(crate) fn take(self) -> Option<Trip> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Used) {
            State::Issued(issued) => {
                drop(state);
                let Issued {
                    keyward,
                    ledger,
                    notes,
                    upgrade,
                } = *issued;
                Some(Trip {
                    ticket: self,
                    keyward,
                    ledger: Some(ledger),
                    notes,
                    upgrade,
                    call: None,
                })
            }
            other => {
                *state = other;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A ticket in use. Dropped, it gives the ledger back, wherever that happens.
pub(crate) struct Trip {
    ticket: Ticket,
    keyward: Keyward,
    ledger: Option<Ledger>,
    notes: Notes,
    upgrade: Option<HeaderValue>,
    call: Option<BackendCall>,
}

impl Trip {
    /// Sends the request with what the exchange's policies attached.
    pub(crate) async fn send(
        mut self,
        route: RouteName,
        head: Parts,
        body: Body,
    ) -> Result<Response<Body>, EgressError> {
        let outgoing = Outgoing {
            route,
            head,
            body,
            notes: std::mem::take(&mut self.notes),
            upgrade: self.upgrade.take(),
        };
        let started = Instant::now();
        let Some(ledger) = &mut self.ledger else {
            // Only `drop` takes it.
            return Err(EgressError::Invalid);
        };
        let answer = self.keyward.egress().send(outgoing, ledger).await;
        self.call = Some(BackendCall {
            route: None,
            outcome: answer
                .as_ref()
                .map(Response::status)
                .map_err(|error| *error),
            took: started.elapsed(),
        });
        answer
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        let mut state = self.ticket.lock();
        // When the exchange is over, the ledger is dropped and records what it has.
        if let (State::Used, Some(ledger)) = (&*state, self.ledger.take()) {
            *state = State::Returned(ledger, self.call.take());
        }
    }
}
