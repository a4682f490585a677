//! The proof that uses are in the audit trail can't be made outside of the vault,
//! nor moved to another exchange.

use keyward_names::ExchangeId;
use keyward_vault::Durable;

fn of_another(durable: Durable, exchange: ExchangeId) -> Durable {
    Durable {
        exchange,
        ..durable
    }
}

fn main() {
    let _ = of_another;
}
