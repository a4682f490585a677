//! Writes templates.

use std::cmp::Ordering;
use std::sync::Arc;

use keyward_document_program::liquid::{
    Comparison, Condition, Expr, For, Literal, Node, Piped, Step,
};

use super::{Item, Live, UNFIT, filters};
use crate::evaluate::{Budget, Exception, Outcome};

/// What templates know of the exchange.
pub(crate) trait World {
    /// The message's body: what it says in JSON, or a text.
    fn body(&self, budget: &mut Budget) -> Outcome<Item>;

    /// A member of a part of the exchange; nil if there is none of that name.
    fn member(&self, of: Live, name: &str, budget: &mut Budget) -> Outcome<Item>;

    /// All entries of a part that has some.
    fn entries(&self, of: Live, budget: &mut Budget) -> Outcome<Vec<(Arc<str>, Item)>>;
}

/// Writes nodes.
pub(super) fn render(nodes: &[Node], world: &dyn World, budget: &mut Budget) -> Outcome<String> {
    let mut rendering = Rendering {
        world,
        budget,
        scopes: vec![Vec::new()],
        counts: Vec::new(),
        body: None,
    };
    let mut out = String::new();
    rendering.run(nodes, &mut out)?;
    Ok(out)
}

/// Whether a loop goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    On,
    Continue,
    Break,
}

struct Rendering<'w> {
    world: &'w dyn World,
    budget: &'w mut Budget,
    /// Variables; the first scope is the template's, the others are of loops.
    scopes: Vec<Vec<(Arc<str>, Item)>>,
    /// Of `increment`, `decrement` and `cycle`.
    counts: Vec<(Arc<str>, i64)>,
    /// The message's body, once it was read.
    body: Option<Item>,
}

impl Rendering<'_> {
    fn run(&mut self, nodes: &[Node], out: &mut String) -> Outcome<Next> {
        for node in nodes {
            self.budget.step()?;
            let next = self.node(node, out)?;
            if next != Next::On {
                return Ok(next);
            }
        }
        Ok(Next::On)
    }

    fn node(&mut self, node: &Node, out: &mut String) -> Outcome<Next> {
        match node {
            Node::Text(text) => {
                self.budget.bytes(text.len())?;
                out.push_str(text);
            }
            Node::Output(piped) => self.piped(piped)?.show(self.budget, out)?,
            Node::Assign(name, piped) => {
                let value = self.piped(piped)?;
                self.assign(name, value);
            }
            Node::Capture(name, body) => {
                let mut captured = String::new();
                let next = self.run(body, &mut captured)?;
                self.assign(name, Item::text(&captured));
                return Ok(next);
            }
            Node::If(branches) => {
                for (condition, body) in branches {
                    if self.holds(condition)? {
                        return self.run(body, out);
                    }
                }
            }
            Node::Case(of, branches, otherwise) => {
                let of = self.value(of)?;
                for (values, body) in branches {
                    for value in values {
                        let value = self.value(value)?;
                        if equal(&of, &value) {
                            return self.run(body, out);
                        }
                    }
                }
                return self.run(otherwise, out);
            }
            Node::For(repeat) => self.repeat(repeat, out)?,
            Node::Break => return Ok(Next::Break),
            Node::Continue => return Ok(Next::Continue),
            Node::Count(name, up) => {
                let count = self.count(name);
                let shown = if *up { *count } else { *count - 1 };
                *count = if *up { shown + 1 } else { shown };
                out.push_str(&shown.to_string());
            }
            Node::Cycle(name, values) => {
                let count = self.count(name);
                let at = usize::try_from(*count).unwrap_or(0);
                *count += 1;
                if let Some(value) = values.get(at % values.len().max(1)) {
                    self.value(value)?.show(self.budget, out)?;
                }
            }
        }
        Ok(Next::On)
    }

    fn count(&mut self, name: &Arc<str>) -> &mut i64 {
        let at = self.counts.iter().position(|(there, _)| there == name);
        let at = at.unwrap_or_else(|| {
            self.counts.push((Arc::clone(name), 0));
            self.counts.len() - 1
        });
        &mut self.counts[at].1
    }

    fn assign(&mut self, name: &Arc<str>, value: Item) {
        let Some(scope) = self.scopes.first_mut() else {
            return;
        };
        match scope.iter_mut().find(|(there, _)| there == name) {
            Some((_, there)) => *there = value,
            None => scope.push((Arc::clone(name), value)),
        }
    }

    fn repeat(&mut self, repeat: &For, out: &mut String) -> Outcome<()> {
        let of = self.value(&repeat.of)?;
        let mut items = self.items(&of)?;
        let mut bound = |expr: &Option<Expr>| -> Outcome<Option<usize>> {
            let Some(expr) = expr else {
                return Ok(None);
            };
            let number = self.value(expr)?.int().ok_or(UNFIT)?;
            Ok(Some(usize::try_from(number).unwrap_or(0)))
        };
        let (offset, limit) = (bound(&repeat.offset)?, bound(&repeat.limit)?);
        items.drain(..offset.unwrap_or(0).min(items.len()));
        items.truncate(limit.unwrap_or(usize::MAX));
        if repeat.reversed {
            items.reverse();
        }
        if items.is_empty() {
            self.run(&repeat.empty, out)?;
            return Ok(());
        }
        let length = items.len();
        for (at, item) in items.into_iter().enumerate() {
            self.budget.step()?;
            self.scopes.push(vec![
                (Arc::clone(&repeat.variable), item),
                ("forloop".into(), forloop(at, length)),
            ]);
            let next = self.run(&repeat.body, out);
            self.scopes.pop();
            if next? == Next::Break {
                break;
            }
        }
        Ok(())
    }

    /// What a loop goes through.
    fn items(&mut self, of: &Item) -> Outcome<Vec<Item>> {
        let entries = |all: &[(Arc<str>, Item)]| -> Vec<Item> {
            let entry = |entry: &(Arc<str>, Item)| Item::Entry(Arc::new(entry.clone()));
            all.iter().map(entry).collect()
        };
        let items = match of {
            Item::List(all) => all.to_vec(),
            Item::Map(all) => entries(all),
            Item::Live(live) => entries(&self.world.entries(*live, self.budget)?),
            Item::Text(text) if !text.is_empty() => vec![of.clone()],
            _ => Vec::new(),
        };
        self.budget.bytes(items.len() * 16)?;
        Ok(items)
    }

    fn piped(&mut self, piped: &Piped) -> Outcome<Item> {
        let mut value = self.value(&piped.value)?;
        for (filter, arguments) in &piped.filters {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(self.value(argument)?);
            }
            self.budget.step()?;
            // A list of what the exchange has is a list like any.
            if matches!(value, Item::Live(_)) {
                value = self.items(&value)?.into_iter().collect();
            }
            let apply = filters::of(*filter);
            value = apply(&value, &filters::Arguments(&values), self.budget)?;
        }
        Ok(value)
    }

    fn value(&mut self, expr: &Expr) -> Outcome<Item> {
        self.budget.step()?;
        Ok(match expr {
            Expr::Literal(Literal::Nil) => Item::Nil,
            Expr::Literal(Literal::Bool(value)) => Item::Bool(*value),
            Expr::Literal(Literal::Int(value)) => Item::Int(*value),
            Expr::Literal(Literal::Float(value)) => Item::Float(*value),
            Expr::Literal(Literal::Text(text)) => Item::Text(Arc::clone(text)),
            Expr::Empty => Item::text(""),
            Expr::Range(ends) => {
                let from = self.value(&ends.0)?.int().ok_or(UNFIT)?;
                let to = self.value(&ends.1)?.int().ok_or(UNFIT)?;
                let count = to.saturating_sub(from).saturating_add(1).max(0);
                let count = usize::try_from(count).map_err(|_| Exception::Memory)?;
                self.budget
                    .bytes(count.checked_mul(16).ok_or(Exception::Memory)?)?;
                (from..=to).map(Item::Int).collect()
            }
            Expr::Path(root, steps) => {
                let mut value = self.root(root)?;
                for step in steps {
                    value = match step {
                        Step::Name(name) => self.member(&value, name)?,
                        Step::Index(index) => {
                            let index = self.value(index)?;
                            self.at(&value, &index)?
                        }
                    };
                }
                value
            }
        })
    }

    fn root(&mut self, name: &str) -> Outcome<Item> {
        for scope in self.scopes.iter().rev() {
            if let Some((_, value)) = scope.iter().find(|(there, _)| &**there == name) {
                return Ok(value.clone());
            }
        }
        Ok(match name {
            "body" => match &self.body {
                Some(body) => body.clone(),
                None => {
                    let body = self.world.body(self.budget)?;
                    self.body.insert(body).clone()
                }
            },
            "context" => Item::Live(Live::Context),
            _ => Item::Nil,
        })
    }

    fn at(&mut self, of: &Item, index: &Item) -> Outcome<Item> {
        match (of, index) {
            (_, Item::Text(name)) => self.member(of, name),
            (Item::List(all), _) => {
                let Some(index) = index.int() else {
                    return Ok(Item::Nil);
                };
                let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                let at = match index < 0 {
                    true => all.len().checked_sub(back),
                    false => Some(back),
                };
                Ok(at.and_then(|at| all.get(at)).cloned().unwrap_or(Item::Nil))
            }
            (Item::Entry(entry), Item::Int(0)) => Ok(Item::Text(Arc::clone(&entry.0))),
            (Item::Entry(entry), Item::Int(1)) => Ok(entry.1.clone()),
            _ => Ok(Item::Nil),
        }
    }

    fn member(&mut self, of: &Item, name: &str) -> Outcome<Item> {
        self.budget.step()?;
        Ok(match of {
            Item::Live(live) => self.world.member(*live, name, self.budget)?,
            Item::Map(all) => {
                let found = all.iter().find(|(there, _)| &**there == name);
                match (found, name) {
                    (Some((_, value)), _) => value.clone(),
                    (None, "size" | "Size") => int(all.len()),
                    (None, _) => Item::Nil,
                }
            }
            Item::Entry(entry) => match name {
                "Key" | "key" => Item::Text(Arc::clone(&entry.0)),
                "Value" | "value" => entry.1.clone(),
                _ => Item::Nil,
            },
            Item::List(all) => match name {
                "size" | "Size" => int(all.len()),
                "first" | "First" => all.first().cloned().unwrap_or(Item::Nil),
                "last" | "Last" => all.last().cloned().unwrap_or(Item::Nil),
                _ => Item::Nil,
            },
            Item::Text(text) if matches!(name, "size" | "Size") => int(text.chars().count()),
            _ => Item::Nil,
        })
    }

    fn holds(&mut self, condition: &Condition) -> Outcome<bool> {
        self.budget.step()?;
        Ok(match condition {
            Condition::Always => true,
            Condition::Is(expr) => self.value(expr)?.is_true(),
            Condition::Not(condition) => !self.holds(condition)?,
            Condition::Several(parts, last) => {
                for (part, and) in parts {
                    if self.holds(part)? != *and {
                        return Ok(!and);
                    }
                }
                self.holds(last)?
            }
            Condition::Compare(left, comparison, right) => {
                if let (Expr::Empty, other) | (other, Expr::Empty) = (left, right) {
                    let is_empty = is_empty(&self.value(other)?);
                    return Ok(match comparison {
                        Comparison::Equal => is_empty,
                        Comparison::Unequal => !is_empty,
                        _ => false,
                    });
                }
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.compares(*comparison, &left, &right)?
            }
        })
    }

    fn compares(&mut self, comparison: Comparison, left: &Item, right: &Item) -> Outcome<bool> {
        let order = order(left, right);
        Ok(match comparison {
            Comparison::Equal => equal(left, right),
            Comparison::Unequal => !equal(left, right),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::GreaterOrEqual => {
                matches!(order, Some(Ordering::Greater | Ordering::Equal))
            }
            Comparison::Contains => match left {
                Item::List(all) => all.iter().any(|item| equal(item, right)),
                Item::Text(text) => text.contains(&right.shown(self.budget)?),
                Item::Map(_) | Item::Live(_) => self.has_key(left, right)?,
                _ => false,
            },
            Comparison::StartsWith => left
                .shown(self.budget)?
                .starts_with(&right.shown(self.budget)?),
            Comparison::EndsWith => left
                .shown(self.budget)?
                .ends_with(&right.shown(self.budget)?),
            Comparison::HasKey => self.has_key(left, right)?,
        })
    }

    fn has_key(&mut self, of: &Item, key: &Item) -> Outcome<bool> {
        let key = key.shown(self.budget)?;
        Ok(match of {
            Item::Map(all) => all.iter().any(|(name, _)| **name == *key),
            Item::Live(_) => !matches!(self.member(of, &key)?, Item::Nil),
            _ => false,
        })
    }
}

pub(super) fn int(number: usize) -> Item {
    Item::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn forloop(at: usize, length: usize) -> Item {
    let entries = [
        ("index", int(at + 1)),
        ("index0", int(at)),
        ("rindex", int(length - at)),
        ("rindex0", int(length - at - 1)),
        ("first", Item::Bool(at == 0)),
        ("last", Item::Bool(at + 1 == length)),
        ("length", int(length)),
    ];
    Item::Map(
        entries
            .into_iter()
            .map(|(name, value)| (Arc::from(name), value))
            .collect(),
    )
}

fn is_empty(item: &Item) -> bool {
    match item {
        Item::Nil => true,
        Item::Text(text) => text.is_empty(),
        Item::List(all) => all.is_empty(),
        Item::Map(all) => all.is_empty(),
        _ => false,
    }
}

pub(super) fn equal(left: &Item, right: &Item) -> bool {
    match (left, right) {
        (Item::Nil, Item::Nil) => true,
        (Item::Bool(left), Item::Bool(right)) => left == right,
        (Item::Text(left), Item::Text(right)) => left == right,
        (Item::Int(_) | Item::Float(_), Item::Int(_) | Item::Float(_)) => {
            order(left, right) == Some(Ordering::Equal)
        }
        (Item::List(left), Item::List(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right.iter())
                    .all(|(left, right)| equal(left, right))
        }
        (Item::Live(left), Item::Live(right)) => left == right,
        _ => false,
    }
}

/// Texts by their characters, numbers by their size; others have no order.
pub(super) fn order(left: &Item, right: &Item) -> Option<Ordering> {
    match (left, right) {
        (Item::Text(left), Item::Text(right)) => Some(left.cmp(right)),
        (Item::Int(left), Item::Int(right)) => Some(left.cmp(right)),
        (Item::Int(_) | Item::Float(_), _) | (_, Item::Int(_) | Item::Float(_)) => {
            left.number()?.partial_cmp(&right.number()?)
        }
        _ => None,
    }
}
