//! `ip-filter`: who may call, by address.

use std::net::IpAddr;

use keyward_document_program::statements::{Element, Operand};
use keyward_document_program::{AttributeName as A, ElementName as E};

use crate::run::error::Stop;
use crate::run::{Flow, Runner};

impl Runner<'_, '_> {
    pub(crate) fn ip_filter(&mut self, element: &Element) -> Result<Flow, Stop> {
        let allows = match &*self.required(element, A::Action)? {
            "allow" => true,
            "forbid" => false,
            _ => return Err(self.unfit(element, "action", "allow or forbid")),
        };
        let Some(caller) = address(&self.exchange.client_address()) else {
            let message = "the caller has no address that can be compared";
            return Err(self.failed(element, 403, "FailedToParseCallerIP", message));
        };
        let is_listed = self.lists(element, caller)?;
        match (allows, is_listed) {
            (true, true) | (false, false) => Ok(Flow::On),
            (true, false) => {
                let message = format!("Caller IP address {caller} is not allowed.");
                Err(self.failed(element, 403, "CallerIpNotAllowed", message))
            }
            (false, true) => {
                let message = "Caller IP address is blocked.";
                Err(self.failed(element, 403, "CallerIpBlocked", message))
            }
        }
    }

    fn lists(&mut self, element: &Element, caller: IpAddr) -> Result<bool, Stop> {
        let statements = &self.program.statements;
        for id in statements.children(element) {
            let Some(child) = statements.element(*id) else {
                continue;
            };
            let is_in = match child.name {
                E::AddressRange => {
                    let from = self.address(child, statements.field(child, A::From))?;
                    let to = self.address(child, statements.field(child, A::To))?;
                    if from.is_ipv4() != to.is_ipv4() || from > to {
                        let wanted =
                            "from one address to another of its family, the lower one first";
                        return Err(self.unfit(child, "address-range", wanted));
                    }
                    is_between(caller, from, to)
                }
                _ => self.address(child, child.text)? == caller,
            };
            if is_in {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn address(&mut self, element: &Element, operand: Option<Operand>) -> Result<IpAddr, Stop> {
        if let Some(Operand::Text(id)) = operand
            && let Some(address) = self.literals.address(id)
        {
            return Ok(address);
        }
        let text = match operand {
            Some(operand) => {
                let value = self.value(element, operand)?;
                self.shown(element, &value)?
            }
            None => None,
        };
        address(&text.unwrap_or_default())
            .ok_or_else(|| self.unfit(element, element.name.as_str(), "an IP address"))
    }
}

/// An address as it is compared: an IPv4 address that is written as an IPv6 one counts as
/// the IPv4 address, so that nobody slips past a rule by notation. `None`: it is none.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.trim().parse().ok()?;
    Some(address.to_canonical())
}

/// Whether an address lies between two others, both included, that are of its family.
pub(crate) fn is_between(address: IpAddr, from: IpAddr, to: IpAddr) -> bool {
    address.is_ipv4() == from.is_ipv4()
        && address.is_ipv4() == to.is_ipv4()
        && (from..=to).contains(&address)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn between(text: &str, from: &str, to: &str) -> bool {
        let [text, from, to] = [text, from, to].map(|text| address(text).unwrap());
        is_between(text, from, to)
    }

    #[test]
    fn both_ends_of_a_range_are_in_it() {
        for inside in ["192.0.2.1", "192.0.2.77", "192.0.2.255"] {
            assert!(between(inside, "192.0.2.1", "192.0.2.255"), "{inside}");
        }
        for outside in ["192.0.2.0", "192.0.3.0", "10.0.0.1"] {
            assert!(!between(outside, "192.0.2.1", "192.0.2.255"), "{outside}");
        }
        assert!(between("2001:db8::5", "2001:db8::", "2001:db8::ffff"));
        assert!(!between("2001:db8:1::", "2001:db8::", "2001:db8::ffff"));
    }

    #[test]
    fn an_address_is_the_same_in_each_notation() {
        assert_eq!(address("::ffff:192.0.2.7"), address("192.0.2.7"));
        assert!(between("::ffff:192.0.2.7", "192.0.2.0", "192.0.2.9"));
    }

    #[test]
    fn no_ipv4_address_lies_in_a_range_of_ipv6_addresses() {
        let everything = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert!(!between("192.0.2.7", "::", everything));
        assert!(between("2001:db8::1", "::", everything), "control");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in ["", "192.0.2", "192.0.2.1:80", "example.com", "fe80::1%eth0"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
