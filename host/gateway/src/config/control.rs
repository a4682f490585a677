//! `[control]` and `[control.roles]`.

use super::ControlSection;
use super::parse::Parser;
use super::reader::{At, Reader};
use crate::control::{Member, MemberError, Role, Rules};

impl<'a> Parser<'a> {
    pub(super) fn control(&self, root: &Reader<'a, '_>) -> ControlSection {
        let mut control = ControlSection {
            socket: self.base.join("control.sock"),
            rules: Rules::default(),
        };
        let Some(section) = root.section("control", "[control]") else {
            return control;
        };
        if let Some(socket) = self.path(&section, "socket") {
            control.socket = socket;
        }
        if let Some(required) = section.flag("require-reason") {
            control.rules.require_reason = required;
        }
        if let Some(roles) = section.section("roles", "[control.roles]") {
            for role in Role::ALL {
                for text in roles.texts(role.as_str()).unwrap_or_default() {
                    if let Some(member) = self.member(text) {
                        control.rules.roles.give(member, role);
                    }
                }
            }
            roles.finish();
        }
        section.finish();
        control
    }

    fn member(&self, text: At<&str>) -> Option<Member> {
        let error = match text.value.parse() {
            Ok(member) => return Some(member),
            Err(error) => error,
        };
        let help = match &error {
            MemberError::Form => {
                "write \"user:alice\", \"uid:1001\", \"group:audit\" or \"gid:50\""
            }
            MemberError::NoSuchUser(_) | MemberError::NoSuchGroup(_) => {
                "make it first, correct the name, or write its number: \"uid:1001\", \"gid:50\""
            }
            MemberError::Unavailable(_) => "write its number: \"uid:1001\", \"gid:50\"",
        };
        let shown = text.value.escape_debug();
        let message = format!("\"{shown}\" has no role: {error}");
        self.findings.add_with_help(text.span, message, help);
        None
    }
}
