//! The contract as Markdown: what its comments say, in the order of its files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, InterfaceId, PackageId, Resolve, Type,
    TypeDefKind, TypeId, TypeOwner, World, WorldItem,
};

/// What stands on top of each page.
const NOTE: &str = "<!-- Written by `cargo xtask docs` from wit/. -->\n\n";

/// The pages by their file names, the index last.
///
/// Errors: the contract can't be read.
pub(super) fn pages(wit: &Path) -> Result<Vec<(String, String)>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).context("can't read the contract")?;
    let reference = Reference {
        resolve: &resolve,
        package,
    };
    let mut pages = Vec::new();
    for (name, id) in &resolve.packages[package].interfaces {
        let page = reference.interface(name, *id);
        pages.push((format!("{name}.md"), page));
    }
    pages.push(("README.md".to_owned(), reference.index()));
    Ok(pages)
}

struct Reference<'a> {
    resolve: &'a Resolve,
    package: PackageId,
}

impl Reference<'_> {
    fn index(&self) -> String {
        let package = &self.resolve.packages[self.package];
        let mut page = format!("{NOTE}# Reference: `{}`\n", package.name);
        paragraphs(&mut page, &package.docs);
        page.push_str(
            "\nIn Rust, the crate `keyward-policy` says the same with its own names: \
             `cargo doc --open --package keyward-policy`.\n",
        );
        let exported = self.exported();
        let tables = [
            ("What a policy can call", false),
            ("What a policy can be asked", true),
        ];
        for (title, wanted) in tables {
            let _ = write!(page, "\n## {title}\n\n| Interface | |\n|---|---|\n");
            for (name, id) in &package.interfaces {
                if exported.contains(name.as_str()) == wanted {
                    let docs = &self.resolve.interfaces[*id].docs;
                    let _ = writeln!(page, "| [`{name}`]({name}.md) | {} |", summary(docs));
                }
            }
        }
        page.push_str(
            "\n## Worlds\n\nA policy is in one world for each interface that it exports: \
             a component has no optional exports, so the host looks which ones are there.\n\n\
             | World | Exports | |\n|---|---|---|\n",
        );
        for (name, id) in &package.worlds {
            let world = &self.resolve.worlds[*id];
            let exports: Vec<String> = self
                .names(world)
                .map(|name| format!("[`{name}`]({name}.md)"))
                .collect();
            let exports = exports.join(", ");
            let _ = writeln!(page, "| `{name}` | {exports} | {} |", summary(&world.docs));
        }
        page
    }

    /// The interfaces that some world exports.
    fn exported(&self) -> BTreeSet<&str> {
        let worlds = self.resolve.packages[self.package].worlds.values();
        worlds
            .flat_map(|id| self.names(&self.resolve.worlds[*id]))
            .collect()
    }

    fn names<'a>(&'a self, world: &'a World) -> impl Iterator<Item = &'a str> {
        world.exports.values().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => self.resolve.interfaces[*id].name.as_deref(),
            _ => None,
        })
    }

    fn interface(&self, name: &str, id: InterfaceId) -> String {
        let interface = &self.resolve.interfaces[id];
        let mut page = format!("{NOTE}# `{name}`\n");
        paragraphs(&mut page, &interface.docs);
        for function in interface.functions.values() {
            if matches!(function.kind, FunctionKind::Freestanding) {
                self.function(&mut page, "##", function);
            }
        }
        // Resources first: they are what an interface is about.
        let mut kinds: Vec<TypeId> = interface.types.values().copied().collect();
        kinds.sort_by_key(|id| !matches!(self.resolve.types[*id].kind, TypeDefKind::Resource));
        for id in kinds {
            self.kind(&mut page, interface, id);
        }
        page
    }

    fn kind(&self, page: &mut String, interface: &Interface, id: TypeId) {
        let kind = &self.resolve.types[id];
        let name = kind.name.as_deref().unwrap_or_default();
        match &kind.kind {
            TypeDefKind::Resource => {
                let _ = write!(page, "\n## Resource `{name}`\n");
                paragraphs(page, &kind.docs);
                for function in interface.functions.values() {
                    if function.kind.resource() == Some(id) {
                        self.function(page, "###", function);
                    }
                }
            }
            TypeDefKind::Enum(cases) => {
                let _ = write!(page, "\n## Enum `{name}`\n");
                paragraphs(page, &kind.docs);
                page.push_str("\n| Case | |\n|---|---|\n");
                for case in &cases.cases {
                    let _ = writeln!(page, "| `{}` | {} |", case.name, line(&case.docs));
                }
            }
            TypeDefKind::Record(record) => {
                let _ = write!(page, "\n## Record `{name}`\n");
                paragraphs(page, &kind.docs);
                page.push_str("\n| Field | Type | |\n|---|---|---|\n");
                for field in &record.fields {
                    let kind = self.spelled(&field.ty);
                    let _ = writeln!(
                        page,
                        "| `{}` | `{kind}` | {} |",
                        field.name,
                        line(&field.docs)
                    );
                }
            }
            // A name from another interface: it is told there.
            _ => {}
        }
    }

    fn function(&self, page: &mut String, level: &str, function: &Function) {
        let name = function.item_name();
        let of_resource = function.kind.resource().is_some();
        let is_static = matches!(function.kind, FunctionKind::Static(_));
        let skipped = usize::from(of_resource && !is_static);
        let parameters: Vec<String> = function
            .params
            .iter()
            .skip(skipped)
            .map(|param| format!("{}: {}", param.name, self.spelled(&param.ty)))
            .collect();
        let kind = if is_static { "static func" } else { "func" };
        let result = match &function.result {
            Some(result) => format!(" -> {}", self.spelled(result)),
            None => String::new(),
        };
        let _ = write!(
            page,
            "\n{level} `{name}`\n\n```wit\n{name}: {kind}({}){result}\n```\n",
            parameters.join(", ")
        );
        paragraphs(page, &function.docs);
    }

    /// A type as the contract writes it.
    fn spelled(&self, kind: &Type) -> String {
        let Type::Id(id) = kind else {
            return match kind {
                Type::Bool => "bool",
                Type::U8 => "u8",
                Type::U16 => "u16",
                Type::U32 => "u32",
                Type::U64 => "u64",
                Type::S8 => "s8",
                Type::S16 => "s16",
                Type::S32 => "s32",
                Type::S64 => "s64",
                Type::F32 => "f32",
                Type::F64 => "f64",
                Type::Char => "char",
                Type::ErrorContext => "error-context",
                Type::String | Type::Id(_) => "string",
            }
            .to_owned();
        };
        let def = &self.resolve.types[*id];
        if let Some(name) = &def.name {
            return self.told_where(name, *id);
        }
        let or_nothing = |kind: &Option<Type>| match kind {
            Some(kind) => self.spelled(kind),
            None => "_".to_owned(),
        };
        match &def.kind {
            TypeDefKind::List(inner) => format!("list<{}>", self.spelled(inner)),
            TypeDefKind::Option(inner) => format!("option<{}>", self.spelled(inner)),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => format!("result<{}>", or_nothing(ok)),
                (ok, err) => format!("result<{}, {}>", or_nothing(ok), or_nothing(err)),
            },
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> =
                    tuple.types.iter().map(|kind| self.spelled(kind)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("borrow<{}>", self.spelled(&Type::Id(*id)))
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.spelled(&Type::Id(*id)),
            other => other.as_str().to_owned(),
        }
    }

    /// The type's own name, through the names that other interfaces give it.
    fn told_where(&self, name: &str, id: TypeId) -> String {
        match (&self.resolve.types[id].kind, &self.resolve.types[id].owner) {
            (TypeDefKind::Type(Type::Id(original)), TypeOwner::Interface(_)) => {
                let original = &self.resolve.types[*original];
                original.name.clone().unwrap_or_else(|| name.to_owned())
            }
            _ => name.to_owned(),
        }
    }
}

/// A comment as it was written.
fn paragraphs(page: &mut String, docs: &Docs) {
    if let Some(text) = &docs.contents {
        let _ = write!(page, "\n{}\n", text.trim_end());
    }
}

/// A comment on one line of a table.
fn line(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// Its first sentence.
fn summary(docs: &Docs) -> String {
    let text = line(docs);
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}
