//! `cargo xtask corpus`: reads policy documents that others published and holds
//! what comes of each against what is expected of it.
//!
//! The documents are not ours and stay where they are: what is expected of one
//! is kept under the SHA-256 of its bytes, and so are suites, `suites/SHA256*.test.toml`
//! beside the expectations, that say what it does when it runs. Of a fragment,
//! `suites/SHA256.xml` is a document of ours that includes it as `published`, and
//! `suites/SHA256.outer.xml` is one of ours around it, for its `<base/>`. What a
//! document tells its reader to replace in it is in `suites/SHA256.replace.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use keyward_document::compile::{Bindings, survey};
use keyward_document::model::{Document, NoFragments, effective};
use keyward_document::named_values::{Lookup, NamedValues};
use keyward_document::read::{Options as Reading, read};
use keyward_document::{DocumentErrors, Severity};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the expectations are unless something else is said.
const EXPECTATIONS: &str = "host/document/corpus/apim-snippets.toml";

/// The component that runs documents.
const GUEST: &str = "target/policies/document.wasm";

/// A part of a policy that is refused when a document is compiled. What else is said then is
/// about routes, issuers and named values, which the gateway that runs it has.
const NOT_HAD: &str = "KD060";

/// Where the suites of documents are put, with the documents' places.
const SUITES: &str = "target/corpus";

/// Where documents are put in which something had to be replaced.
const REPLACED: &str = "target/corpus-replaced";

/// What an expectations file opens with.
const HEADER: &str = "\
# What comes of reading documents that others published, each under the SHA-256 of its
# bytes: cargo xtask corpus FOLDER. The documents are not here.

";

/// What `corpus` needs to know.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder with the documents; `.xml` files are read, at any depth.
    folder: PathBuf,
    /// What is expected of each.
    #[arg(default_value = EXPECTATIONS)]
    expect: PathBuf,
    /// Write what comes of each as what is expected, and keep the kind and the reason of
    /// those that are known. Read the difference.
    #[arg(long)]
    update: bool,
    /// Show the diagnostics with the lines that they are about.
    #[arg(long)]
    show: bool,
    /// Read them only: run no suite.
    #[arg(long)]
    no_run: bool,
}

/// What is expected of the documents, each under the SHA-256 of its bytes.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    documents: BTreeMap<String, Expected>,
}

/// What is expected of one.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Expected {
    kind: Kind,
    /// Why it is not read, for whoever wonders.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    why: String,
    /// The named values of which the document says that they are secrets. All others are
    /// not known yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
    /// Errors as `CODE LINE:COLUMN`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

/// Named values that are secrets.
struct Secrets(Vec<String>);

impl NamedValues for Secrets {
    fn look_up(&self, name: &str) -> Lookup {
        match self.0.iter().any(|secret| secret == name) {
            true => Lookup::Secret(name.to_owned()),
            false => Lookup::Later,
        }
    }
}

/// What becomes of a document.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// It is read and modelled, and compiles for a gateway that has what it names.
    #[default]
    Works,
    /// It is invalid as it was published, or does what is refused here; the error says so.
    Refused,
    /// It uses a policy, or C#, that is known and not supported.
    NotSupported,
}

/// Reads all documents of the folder.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let known: Expectations = match std::fs::read_to_string(&options.expect) {
        Ok(text) => toml::from_str(&text)
            .with_context(|| format!("{} can't be read", options.expect.display()))?,
        Err(_) if options.update => Expectations::default(),
        Err(error) => bail!("{}: {error}", options.expect.display()),
    };
    let mut files = Vec::new();
    collect(&options.folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        bail!("no .xml file in {}", options.folder.display());
    }
    let mut found = Expectations::default();
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut suites = Vec::new();
    let mut ran = 0;
    for path in &files {
        let bytes = std::fs::read(path)?;
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        let name = path
            .strip_prefix(&options.folder)
            .unwrap_or(path)
            .display()
            .to_string();
        let Ok(text) = String::from_utf8(bytes) else {
            wrong.push(format!("{name}: not UTF-8"));
            continue;
        };
        let secrets = known
            .documents
            .get(&hash)
            .map(|known| known.secrets.clone());
        let secrets = Secrets(secrets.unwrap_or_default());
        let reading = read(
            &name,
            &text,
            &Reading {
                values: &secrets,
                ..Reading::default()
            },
        );
        if options.show && !reading.diagnostics.is_empty() {
            println!("{}", reading.diagnostics.render(false));
        }
        if let Some(Err(error)) = reading.document.as_ref().map(spans_lead_back) {
            wrong.push(format!("{name}: {error:#}"));
        }
        let mut now = Expected {
            errors: errors(&reading.diagnostics),
            secrets: secrets.0,
            ..Expected::default()
        };
        if let Some(document) = reading.document.as_ref().filter(|_| now.errors.is_empty()) {
            let refused = refused(document);
            if let Some(refused) = refused.as_ref().filter(|_| options.show) {
                println!("{}", refused.render(false));
            }
            now.errors = refused.as_deref().map(errors).unwrap_or_default();
            now.errors.retain(|error| error.starts_with(NOT_HAD));
        }
        now.kind = kind(&now.errors);
        if let Some(expected) = known.documents.get(&hash) {
            if expected.errors != now.errors && !options.update {
                wrong.push(format!(
                    "{name}: expected {:?}, but it is {:?}",
                    expected.errors, now.errors
                ));
                continue;
            }
            let same = now.errors.is_empty() == (expected.kind == Kind::Works);
            if same {
                now.kind = expected.kind;
            }
            now.why.clone_from(&expected.why);
        } else if !options.update {
            wrong.push(format!("{name}: nothing is expected of it ({hash})"));
            continue;
        }
        *counts.entry(now.kind).or_default() += 1;
        if now.kind == Kind::Works {
            let own = suites_of(&options.expect, &hash, path)?;
            ran += usize::from(!own.is_empty());
            suites.extend(own);
        }
        found.documents.insert(hash, now);
    }
    if options.update {
        if let Some(folder) = options.expect.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = toml::to_string(&found)?;
        std::fs::write(&options.expect, format!("{HEADER}{text}"))?;
    }
    if !options.no_run && ran > 0 && !run_suites(&suites)? {
        wrong.push("a document does something else than its suite says; see above".to_owned());
    }
    for line in &wrong {
        println!("wrong: {line}");
    }
    let count = |kind| counts.get(&kind).copied().unwrap_or_default();
    println!("{:>4} documents", files.len());
    let compile = count(Kind::Works);
    if options.no_run {
        println!("{compile:>4} compile");
    } else {
        println!("{ran:>4} work: they compile, and run as their suites say");
        let not_run = compile.saturating_sub(ran);
        println!("{not_run:>4} compile and are not run: nobody wrote down what they do");
    }
    println!("{:>4} refused on purpose", count(Kind::Refused));
    println!("{:>4} not supported", count(Kind::NotSupported));
    println!("{:>4} wrong", wrong.len());
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The suites of a document: each one's name, and its text with the document and the guest.
fn suites_of(expect: &Path, hash: &str, document: &Path) -> Result<Vec<(String, String)>> {
    let folder = expect.parent().unwrap_or(Path::new("")).join("suites");
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name().into_string();
            names.extend(
                name.ok()
                    .filter(|name| name.starts_with(hash) && name.ends_with(".test.toml")),
            );
        }
    }
    names.sort();
    let text_of = |path: &Path| -> Result<toml::Value> {
        let path = std::path::absolute(path)?;
        Ok(path.to_str().context("a path is no text")?.into())
    };
    let document = match std::fs::read_to_string(folder.join(format!("{hash}.replace.toml"))) {
        Ok(replacements) => {
            let replacements: BTreeMap<String, String> = toml::from_str(&replacements)?;
            let mut text = std::fs::read_to_string(document)?;
            for (placeholder, by) in &replacements {
                text = text.replace(placeholder, by);
            }
            std::fs::create_dir_all(REPLACED)?;
            let file = Path::new(REPLACED).join(format!("{hash}.xml"));
            std::fs::write(&file, text)?;
            text_of(&file)?
        }
        Err(_) => text_of(document)?,
    };
    let guest = text_of(Path::new(GUEST))?;
    let including = folder.join(format!("{hash}.xml"));
    let mut documents = if including.exists() {
        let including = text_of(&including)?;
        format!("document = {including}\nfragments = {{ published = {document} }}\n")
    } else {
        format!("document = {document}\n")
    };
    let outer = folder.join(format!("{hash}.outer.xml"));
    if outer.exists() {
        documents = format!("{documents}global-document = {}\n", text_of(&outer)?);
    }
    let mut suites = Vec::new();
    for name in names {
        let text = std::fs::read_to_string(folder.join(&name))?;
        let table: toml::Table = text.parse().with_context(|| name.clone())?;
        let routes = table.get("routes").and_then(toml::Value::as_table);
        let routes: Vec<&String> = routes.into_iter().flat_map(toml::Table::keys).collect();
        // Before its own tables, which may not come before a key of the top.
        let head = format!(
            "{documents}[[policies]]\nname = \"document\"\ncomponent = {guest}\nroutes = {routes:?}\n"
        );
        suites.push((name, format!("{head}{text}")));
    }
    Ok(suites)
}

/// Why a document can't be compiled, whatever a gateway's configuration says.
fn refused(document: &Document) -> Option<Box<DocumentErrors>> {
    let effective = match effective(&[document], &NoFragments) {
        Ok(effective) => effective,
        Err(errors) => return Some(errors),
    };
    survey(&effective, &Bindings::default()).errors
}

/// Runs suites with the command, as anybody would; whether all of them hold.
fn run_suites(suites: &[(String, String)]) -> Result<bool> {
    let folder = Path::new(SUITES);
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for (name, text) in suites {
        std::fs::write(folder.join(name), text)?;
    }
    let keyward = std::env::current_exe()?.with_file_name("keyward");
    let status = std::process::Command::new(&keyward)
        .args(["test", SUITES])
        .status()
        .with_context(|| {
            let file = keyward.display();
            format!("{file} can't be run: build it with `cargo build`, and `cargo xtask guests`")
        })?;
    Ok(status.success())
}

fn errors(diagnostics: &DocumentErrors) -> Vec<String> {
    diagnostics
        .iter()
        .filter(|error| error.severity() == Severity::Error)
        .map(|error| {
            let at = error.position();
            format!("{} {}:{}", error.code(), at.line(), at.column())
        })
        .collect()
}

/// What a document with these errors is at first sight.
fn kind(errors: &[String]) -> Kind {
    const NOT_SUPPORTED: [&str; 3] = ["KD011", "KD102", "KD103"];
    let is_known = |error: &String| NOT_SUPPORTED.iter().any(|code| error.starts_with(code));
    match errors {
        [] => Kind::Works,
        errors if errors.iter().all(is_known) => Kind::NotSupported,
        _ => Kind::Refused,
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "xml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Holds each span of the model against the text.
fn spans_lead_back(document: &Document) -> Result<()> {
    let text = document.text();
    let part = |span: std::ops::Range<usize>| {
        text.get(span.clone())
            .with_context(|| format!("{span:?} is no span of the text"))
    };
    for (_, statement) in document.statements() {
        for node in statement.walk() {
            let tag = part(node.tag.clone())?;
            if !tag.starts_with(&format!("<{}", node.name())) || !tag.ends_with('>') {
                bail!("{}: its tag is not {tag:?}", node.path);
            }
            let whole = part(node.at.clone())?;
            if !tag.ends_with("/>") && !whole.ends_with('>') {
                bail!("{}: it does not end with {whole:?}", node.path);
            }
            for field in &node.attributes {
                let written = part(field.at.clone())?;
                if !written.starts_with(field.name) || !written.ends_with(['"', '\'']) {
                    bail!("{}: its {} is not {written:?}", node.path, field.name);
                }
            }
            for value in node.values() {
                let whole = value.written.as_str();
                for (at, character) in whole.char_indices() {
                    let span = at..at + character.len_utf8();
                    let written = part(value.written.in_file(span))?;
                    let same = written.chars().eq([character]);
                    let entity = written.starts_with('&') && written.ends_with(';');
                    let space = character.is_ascii_whitespace() && written.trim().is_empty();
                    if !(same || entity || space) {
                        bail!("{}: {character:?} is not {written:?}", node.path);
                    }
                }
            }
        }
    }
    Ok(())
}
