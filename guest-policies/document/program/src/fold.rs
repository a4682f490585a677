//! What is the same in every evaluation, found once.

use crate::expression::{Expressions, Node};
use crate::kinds::Type;
use crate::members::Member;

impl Expressions {
    /// The same expressions with fewer steps: the parts of `context` that are always
    /// there, and its variables of fixed names, are nodes of their own. For whoever
    /// evaluates; it has no encoded form.
    pub fn folded(mut self) -> Self {
        // Operands stand before their nodes, and are folded already.
        for at in 0..self.nodes.len() {
            let folded = self.nodes.get(at).and_then(|node| self.fold(node));
            if let (Some(node), Some(folded)) = (self.nodes.get_mut(at), folded) {
                *node = folded;
            }
        }
        self
    }

    fn fold(&self, node: &Node) -> Option<Node> {
        let Node::Call(member, operands) = *node else {
            return None;
        };
        let operands = self.list(operands);
        let of = *self.node(*operands.first()?)?;
        Some(match (member, of) {
            (Member::ContextVariables, Node::Context) => Node::Part(Type::Variables),
            (Member::ContextRequest, Node::Context) => Node::Part(Type::IRequest),
            (Member::RequestHeaders, Node::Part(Type::IRequest)) => Node::RequestHeaders,
            (Member::VariablesIndex | Member::VariablesGet, Node::Part(Type::Variables)) => {
                match *self.node(*operands.get(1)?)? {
                    Node::Text(name) => Node::Variable(name),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::NodeId;
    use crate::expression::Builder;

    #[test]
    fn only_what_is_always_the_same_is_folded() {
        let mut builder = Builder::new();
        let mut node = |node| builder.node(node, &(0..0));
        let context = node(Node::Context);
        let (null, local) = (node(Node::Null), node(Node::Local(0)));
        let name = builder.text("a");
        let name = builder.node(Node::Text(name), &(0..0));
        let mut call = |member, operands: &[NodeId]| {
            let operands = builder.list(operands);
            builder.node(Node::Call(member, operands), &(0..0))
        };
        let variables = call(Member::ContextVariables, &[context]);
        let request = call(Member::ContextRequest, &[context]);
        let folded = [
            (variables, Node::Part(Type::Variables)),
            (request, Node::Part(Type::IRequest)),
            (
                call(Member::RequestHeaders, &[request]),
                Node::RequestHeaders,
            ),
            (
                call(Member::VariablesIndex, &[variables, name]),
                Node::Variable(crate::expression::TextId(0)),
            ),
            (
                call(Member::VariablesGet, &[variables, name]),
                Node::Variable(crate::expression::TextId(0)),
            ),
        ];
        // What may be null, or is known only when it is evaluated.
        let kept = [
            call(Member::ContextVariables, &[local]),
            call(Member::RequestHeaders, &[local]),
            call(Member::RequestHeaders, &[variables]),
            call(Member::VariablesIndex, &[variables, null]),
            call(Member::VariablesIndex, &[local, name]),
            call(Member::ContextResponse, &[context]),
        ];
        let expressions = builder.finish().unwrap();
        let before: alloc::vec::Vec<Node> = expressions.nodes.clone();
        let after = expressions.folded();
        for (id, node) in folded {
            assert_eq!(after.node(id), Some(&node));
        }
        for id in kept {
            assert_eq!(after.node(id), before.get(id.index()));
        }
        // It is for whoever evaluates, and nobody's to keep.
        after.encode().unwrap_err();
    }
}
