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
