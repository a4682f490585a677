//! Properties, functions, indexers and constructors, looked up in the table.

use keyward_document_program::members::{Form, Info, MEMBERS};
use keyward_document_program::{Member, Node, NodeId, Type};

use super::super::Code;
use super::super::ast::{Argument, Expr, Kind, Span, TypeName};
use super::conversions::{Way, implicit};
use super::names::bases;
use super::{Checker, Ty, Typed};

/// The names that parameters have in documents, in the one place that they have.
const NAMED: &[(&str, &str)] = &[
    ("As", "preserveContent"),
    ("GetValueOrDefault", "defaultValue"),
];

impl Checker<'_> {
    /// `target.name`.
    pub(super) fn member(
        &mut self,
        target: &Expr,
        name: &str,
        name_span: &Span,
        span: &Span,
    ) -> Option<Typed> {
        if let Some(of) = self.as_type(target) {
            let of = of?;
            if let Some((_, number)) = of.constants().iter().find(|(known, _)| *known == name) {
                return self.node(Node::Enum(of, *number), Ty::plain(of), span);
            }
            let found = MEMBERS
                .iter()
                .find(|info| info.form == Form::Static && info.receiver == of && info.name == name);
            let Some(info) = found else {
                self.no_member(of, name, Form::Static, name_span);
                return None;
            };
            let list = self.builder.list(&[]);
            return self.node(Node::Call(info.member, list), Ty::plain(info.gives), span);
        }
        let value = self.expression(target)?;
        if value.ty.nullable {
            match name {
                "HasValue" => {
                    let null = self.node(Node::Null, value.ty, span)?;
                    let equal = self.node(Node::Equal(value.node, null.node), value.ty, span)?;
                    return self.node(Node::Not(equal.node), Ty::plain(Type::Bool), span);
                }
                "Value" => {
                    return self.node(Node::Unwrap(value.node), Ty::plain(value.ty.of), span);
                }
                _ => return self.of_nullable(value.ty, name, name_span),
            }
        }
        let found = bases(value.ty.of).into_iter().find_map(|of| {
            MEMBERS.iter().find(|info| {
                info.form == Form::Property && info.receiver == of && info.name == name
            })
        });
        let Some(info) = found else {
            self.no_member(value.ty.of, name, Form::Property, name_span);
            return None;
        };
        let list = self.builder.list(&[value.node]);
        let ty = Ty {
            of: info.gives,
            nullable: info.nullable,
        };
        self.node(Node::Call(info.member, list), ty, span)
    }

    fn of_nullable(&mut self, ty: Ty, name: &str, span: &Span) -> Option<Typed> {
        let shown = ty.shown();
        let message = format!("{shown} has no {name}; its value may have");
        self.problem_with(Code::Member, span, message, format!("write ….Value.{name}"));
        None
    }

    /// `function(arguments)`.
    pub(super) fn call(
        &mut self,
        function: &Expr,
        arguments: &[Argument],
        span: &Span,
    ) -> Option<Typed> {
        let Kind::Member {
            target,
            name,
            name_span,
            types,
        } = &function.kind
        else {
            let given = self.arguments("", arguments);
            if let Kind::Name(name) = &function.kind {
                if !self.functions.contains(name) {
                    let message = format!("no function {name:?} here");
                    self.problem(Code::Name, &function.span, message);
                }
            } else if self.expression(function).is_some() {
                self.problem(Code::Types, span, "this is no function");
            }
            given?;
            return None;
        };
        if let Some(of) = self.as_type(target) {
            let given = self.arguments(name, arguments);
            let of = of?;
            let candidates = named(&[of], &[Form::StaticMethod], name);
            if candidates.is_empty() {
                self.no_member(of, name, Form::StaticMethod, name_span);
                return None;
            }
            if !types.is_empty() {
                self.problem(Code::Arguments, name_span, format!("{name} takes no types"));
                return None;
            }
            return self.choose(&candidates, None, &given?, None, name, span);
        }
        let value = self.expression(target);
        let given = self.arguments(name, arguments);
        let value = value?;
        if value.ty.nullable {
            if name == "ToString" && arguments.is_empty() {
                let list = self.builder.list(&[value.node]);
                return self.node(Node::Concat(list), Ty::plain(Type::String), span);
            }
            return self.of_nullable(value.ty, name, name_span);
        }
        let of = value.ty.of;
        if types.is_empty() {
            if of == Type::Variables && name == "GetValueOrDefault" && arguments.len() == 2 {
                return self.inferred(value, &given?, span);
            }
            let mut candidates = named(&bases(of), &[Form::Method], name);
            if candidates.is_empty() {
                if named(&bases(of), &[Form::Generic], name).is_empty() {
                    self.no_member(of, name, Form::Method, name_span);
                } else {
                    let message = format!("{name} needs a type: write {name}<string>(…)");
                    self.problem(Code::Arguments, name_span, message);
                }
                return None;
            }
            // Of an override, the one that is nearest.
            candidates.dedup_by_key(|info| info.member);
            return self.choose(&candidates, Some(value), &given?, None, name, span);
        }
        let candidates = named(&bases(of), &[Form::Generic], name);
        if candidates.is_empty() {
            self.no_member(of, name, Form::Generic, name_span);
            return None;
        }
        let [written] = types.as_slice() else {
            self.problem(Code::Arguments, name_span, format!("{name} takes one type"));
            return None;
        };
        let ty = self.generic(of, name, written)?;
        self.choose(&candidates, Some(value), &given?, Some(ty), name, span)
    }

    /// What stands between `<` and `>`.
    fn generic(&mut self, of: Type, name: &str, written: &TypeName) -> Option<Ty> {
        let ty = self.type_named(written)?;
        let body = matches!(
            ty.of,
            Type::String | Type::JObject | Type::JArray | Type::JToken | Type::Bytes
        );
        if of == Type::IMessageBody && !body {
            let message = format!("not supported: {name}<{}>", ty.shown());
            self.problem_with(
                Code::Member,
                &written.span,
                message,
                "a body can be read as string, JObject, JArray, JToken and byte[]",
            );
            return None;
        }
        Some(ty)
    }

    /// `Variables.GetValueOrDefault("x", y)`: `T` is what `y` is.
    fn inferred(&mut self, value: Typed, given: &[Given], span: &Span) -> Option<Typed> {
        let candidates = named(&[Type::Variables], &[Form::Generic], "GetValueOrDefault");
        let ty = match given.get(1)?.value.ty {
            Ty { of: Type::Null, .. } => Ty::plain(Type::Object),
            ty => ty,
        };
        self.choose(
            &candidates,
            Some(value),
            given,
            Some(ty),
            "GetValueOrDefault",
            span,
        )
    }

    /// `target[arguments]`.
    pub(super) fn index(
        &mut self,
        target: &Expr,
        arguments: &[Argument],
        span: &Span,
    ) -> Option<Typed> {
        let value = self.expression(target);
        let given = self.arguments("", arguments);
        let value = value?;
        let of = value.ty.of;
        let candidates = named(&bases(of), &[Form::Indexer], "this[]");
        if candidates.is_empty() {
            let message = format!("C# has no {}[…]", value.ty.shown());
            let help = match of {
                Type::Object => "its type is object: cast it first, for example ((JObject)…)[…]",
                Type::IRequest | Type::IResponse => "write ….Headers[…]",
                _ => "",
            };
            if help.is_empty() {
                self.problem(Code::Member, span, message);
            } else {
                self.problem_with(Code::Member, span, message, help);
            }
            return None;
        }
        self.choose(&candidates, Some(value), &given?, None, "[…]", span)
    }

    /// `new Type(arguments)`.
    pub(super) fn creation(
        &mut self,
        name: &TypeName,
        arguments: &[Argument],
        span: &Span,
    ) -> Option<Typed> {
        let given = self.arguments("", arguments);
        let ty = self.type_named(name)?;
        let candidates = named(&[ty.of], &[Form::Constructor], "new");
        if candidates.is_empty() {
            let message = format!("not supported: new {}", ty.shown());
            self.problem(Code::Member, &name.span, message);
            return None;
        }
        self.choose(
            &candidates,
            None,
            &given?,
            None,
            &format!("new {}", ty.shown()),
            span,
        )
    }

    fn arguments(&mut self, function: &str, arguments: &[Argument]) -> Option<Vec<Given>> {
        let mut given = Vec::with_capacity(arguments.len());
        let mut fine = true;
        for argument in arguments {
            if let Some((name, span)) = &argument.name
                && !NAMED.contains(&(function, name))
                && MEMBERS.iter().any(|info| info.name == function)
            {
                let message = format!("not supported: the argument's name {name}");
                self.problem_with(Code::Arguments, span, message, "leave the name out");
                fine = false;
            }
            match self.expression(&argument.value) {
                Some(value) if value.ty.of == Type::Void => {
                    self.problem(Code::Types, &argument.value.span, "this gives no value");
                    fine = false;
                }
                Some(value) => given.push(Given {
                    value,
                    span: argument.value.span.clone(),
                }),
                None => fine = false,
            }
        }
        fine.then_some(given)
    }

    /// Picks the overload that the arguments fit best, and calls it.
    fn choose(
        &mut self,
        candidates: &[&'static Info],
        instance: Option<Typed>,
        given: &[Given],
        generic: Option<Ty>,
        name: &str,
        span: &Span,
    ) -> Option<Typed> {
        let best = candidates
            .iter()
            .filter_map(|info| ways(info, given, generic).map(|(cost, ways)| (cost, *info, ways)))
            .min_by_key(|(cost, ..)| *cost);
        let Some((_, info, ways)) = best else {
            let found: Vec<String> = given.iter().map(|given| given.value.ty.shown()).collect();
            let mut wanted: Vec<String> = candidates
                .iter()
                .map(|info| {
                    let all: Vec<&str> = info.parameters.iter().map(|of| of.name()).collect();
                    format!("({})", all.join(", "))
                })
                .collect();
            wanted.dedup();
            let message = format!("no {name} takes ({})", found.join(", "));
            self.problem_with(
                Code::Arguments,
                span,
                message,
                format!("it takes {}", wanted.join(" or ")),
            );
            return None;
        };
        let mut nodes: Vec<NodeId> = instance.iter().map(|value| value.node).collect();
        for (given, (to, way)) in given.iter().zip(ways) {
            nodes.push(self.go(given.value, to, way, &given.span).node);
        }
        let list = self.builder.list(&nodes);
        match generic {
            Some(ty) => {
                let node = Node::CallFor(info.member, ty.of, list);
                let gives = if info.gives == Type::Generic {
                    ty
                } else {
                    Ty::plain(info.gives)
                };
                // `GetValueOrDefault<int?>("x")` gives null where there is none.
                self.node(node, gives, span)
            }
            None => {
                let ty = Ty {
                    of: info.gives,
                    nullable: info.nullable,
                };
                self.node(Node::Call(info.member, list), ty, span)
            }
        }
    }

    /// `token[key] = value`.
    pub(super) fn assign_index(
        &mut self,
        target: &Expr,
        arguments: &[Argument],
        value: Typed,
        value_span: &Span,
        span: &Span,
    ) -> Option<Typed> {
        let token = self.expression(target);
        let given = self.arguments("", arguments);
        let (token, given) = (token?, given?);
        let [key] = given.as_slice() else {
            self.problem(Code::Arguments, span, "expected one index");
            return None;
        };
        if !token.ty.of.is_json() {
            let message = format!(
                "an entry of a value of type {} can't be set",
                token.ty.shown()
            );
            let help = match token.ty.of {
                Type::Variables => "use the policy set-variable",
                Type::Lists => "use the policy set-header",
                _ => "only those of a JObject or JArray can",
            };
            self.problem_with(Code::Types, span, message, help);
            return None;
        }
        let value = self.want(value, Ty::plain(Type::JToken), value_span)?;
        let list = self.builder.list(&[token.node, key.value.node, value]);
        self.node(
            Node::Call(Member::TokenSetName, list),
            Ty::plain(Type::Void),
            span,
        )
    }
}

/// An argument's value.
#[derive(Clone, Debug)]
pub(super) struct Given {
    value: Typed,
    span: Span,
}

/// The members of a name, of the nearest type that has some first.
fn named(types: &[Type], forms: &[Form], name: &str) -> Vec<&'static Info> {
    let mut found = Vec::new();
    for of in types {
        found.extend(MEMBERS.iter().filter(|info| {
            info.receiver == *of && forms.contains(&info.form) && info.name == name
        }));
    }
    found
}

/// How arguments become parameters, if they can, and how far that is.
fn ways(info: &Info, given: &[Given], generic: Option<Ty>) -> Option<(u32, Vec<(Ty, Way)>)> {
    let mut parameters: Vec<Ty> = Vec::with_capacity(given.len());
    let mut cost = 0;
    for of in info.parameters {
        let rest = match of {
            Type::ObjectsFrom => Type::Object,
            Type::StringsFrom => Type::String,
            Type::CharsFrom => Type::Char,
            Type::Generic => {
                parameters.push(generic?);
                continue;
            }
            of => {
                parameters.push(Ty::plain(*of));
                continue;
            }
        };
        // An overload without `params` is preferred.
        cost += 1;
        while parameters.len() < given.len() {
            parameters.push(Ty::plain(rest));
        }
    }
    if parameters.len() != given.len() {
        return None;
    }
    let mut ways = Vec::with_capacity(given.len());
    for (given, to) in given.iter().zip(parameters) {
        let (step, way) = implicit(given.value.ty, to)?;
        cost += step * 2;
        ways.push((to, way));
    }
    Some((cost, ways))
}
