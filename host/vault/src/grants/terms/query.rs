//! What a grant of `query` allows: statements, each under a name, and how much they
//! may bring.

use std::fmt::Write as _;

use keyward_names::StatementName;
use toml::Spanned;
use toml::de::DeValue;

use super::super::diff::{Effect, Parts};
use super::super::fields::{Fields, Span, accept, article, text};
use super::super::parse::GrantReader;
use super::super::render::quoted;
use super::super::report::did_you_mean;

/// The most statements of a grant.
const MAX_STATEMENTS: usize = 64;
/// The longest statement, in bytes.
const MAX_SQL_BYTES: usize = 16 << 10;
/// The most parameters of a statement.
const MAX_PARAMETERS: usize = 32;
const MAX_ROWS: u64 = 10_000;
const DEFAULT_ROWS: u64 = 100;
const MAX_BYTES: u64 = 4 << 20;
const DEFAULT_BYTES: u64 = 64 << 10;
const MAX_TIME_MS: u64 = 60_000;
const DEFAULT_TIME_MS: u64 = 1000;

/// What of a database a policy may ask, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryTerms {
    /// What may be asked. Never empty; no two have the same name.
    pub statements: Vec<Statement>,
    /// The most rows of an answer.
    pub max_rows: u64,
    /// The most bytes of an answer: as the database sends its rows, or as their values
    /// are passed on, whichever is more.
    pub max_bytes: u64,
    /// The longest time that a query may take, in milliseconds: the wait for a
    /// connection included.
    pub timeout_ms: u64,
    /// Whether statements may change anything. Otherwise they run in transactions
    /// that can only read.
    pub writes: bool,
}

/// A statement that a policy may have run, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What the policy calls it.
    pub name: StatementName,
    /// The statement, as the database reads it: visible ASCII, spaces, tabs and line
    /// ends, with `$1`, `$2`, … where the parameters go.
    pub sql: Box<str>,
    /// The types of the parameters, in order.
    pub parameters: Vec<ParameterType>,
    /// The most rows of its answer, where that is less than the grant's.
    pub max_rows: Option<u64>,
}

/// The type of a statement's parameter, as PostgreSQL calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterType {
    /// A truth value.
    Bool,
    /// A whole number of 16 bits.
    Int2,
    /// A whole number of 32 bits.
    Int4,
    /// A whole number of 64 bits.
    Int8,
    /// A binary floating-point number of 32 bits.
    Float4,
    /// A binary floating-point number of 64 bits.
    Float8,
    /// A text.
    Text,
    /// Bytes.
    Bytea,
    /// A moment, to the millisecond.
    Timestamptz,
    /// A UUID, given as a text.
    Uuid,
    /// A decimal number, given as a text.
    Numeric,
    /// JSON, given as a text.
    Jsonb,
}

impl ParameterType {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::Int2,
        Self::Int4,
        Self::Int8,
        Self::Float4,
        Self::Float8,
        Self::Text,
        Self::Bytea,
        Self::Timestamptz,
        Self::Uuid,
        Self::Numeric,
        Self::Jsonb,
    ];

    /// As PostgreSQL calls it: `int8`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Timestamptz => "timestamptz",
            Self::Uuid => "uuid",
            Self::Numeric => "numeric",
            Self::Jsonb => "jsonb",
        }
    }
}

impl QueryTerms {
    /// The statement of that name.
    pub fn statement(&self, name: &str) -> Option<&Statement> {
        let mut statements = self.statements.iter();
        statements.find(|statement| statement.name.as_str() == name)
    }

    /// The most rows of a statement's answer.
    pub fn max_rows_of(&self, statement: &Statement) -> u64 {
        let own = statement.max_rows.unwrap_or(self.max_rows);
        own.min(self.max_rows)
    }

    /// What may be asked, in a few words: `plan-of and 2 more`, and how.
    pub(in super::super) fn to_text(&self) -> String {
        let names = self
            .statements
            .iter()
            .map(|statement| statement.name.as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        let kind = match self.writes {
            true => "which may change it",
            false => "which only read",
        };
        let one = match self.statements.len() {
            1 => "the statement",
            _ => "the statements",
        };
        format!(
            "{one} {names}, {kind}, for at most {} rows, {} bytes and {} ms",
            self.max_rows, self.max_bytes, self.timeout_ms
        )
    }

    /// Writes the terms into a grant, but for its statements, which are tables and
    /// come last.
    pub(in super::super) fn write_toml(&self, toml: &mut String) {
        let _ = writeln!(toml, "max-rows = {}", self.max_rows);
        let _ = writeln!(toml, "max-bytes = {}", self.max_bytes);
        let _ = writeln!(toml, "timeout-ms = {}", self.timeout_ms);
        if self.writes {
            toml.push_str("writes = true\n");
        }
    }

    /// Writes the statements.
    pub(in super::super) fn write_statements(&self, toml: &mut String) {
        for statement in &self.statements {
            toml.push_str("\n[[grant.statement]]\n");
            let _ = writeln!(toml, "name = {}", quoted(statement.name.as_str()));
            let _ = writeln!(toml, "sql = {}", quoted(&statement.sql));
            if !statement.parameters.is_empty() {
                let types = statement.parameters.iter();
                let types: Vec<_> = types.map(|one| quoted(one.as_str())).collect();
                let _ = writeln!(toml, "parameters = [{}]", types.join(", "));
            }
            if let Some(rows) = statement.max_rows {
                let _ = writeln!(toml, "max-rows = {rows}");
            }
        }
    }

    /// Adds what differs from older terms.
    pub(in super::super) fn compare(old: &Self, new: &Self, parts: &mut Parts) {
        let of = |wider: bool| match wider {
            true => Effect::Wider,
            false => Effect::Narrower,
        };
        for statement in &new.statements {
            let name = &statement.name;
            match old.statement(name.as_str()) {
                None => parts.push((Effect::Wider, format!("it may run \"{name}\""))),
                Some(before) => {
                    if before.sql != statement.sql || before.parameters != statement.parameters {
                        let text = format!("\"{name}\" is another statement than before");
                        parts.push((Effect::Wider, text));
                    }
                    let (was, is) = (old.max_rows_of(before), new.max_rows_of(statement));
                    if was != is {
                        let text = format!("\"{name}\" brings at most {is} rows, not {was}");
                        parts.push((of(is > was), text));
                    }
                }
            }
        }
        for statement in &old.statements {
            let name = &statement.name;
            if new.statement(name.as_str()).is_none() {
                parts.push((Effect::Narrower, format!("it may not run \"{name}\"")));
            }
        }
        let limits = [
            ("bytes", old.max_bytes, new.max_bytes),
            ("ms", old.timeout_ms, new.timeout_ms),
        ];
        for (what, was, is) in limits {
            if was != is {
                let text = format!("a query has at most {is} {what}, not {was}");
                parts.push((of(is > was), text));
            }
        }
        if old.writes != new.writes {
            let text = match new.writes {
                true => "its statements may change the database",
                false => "its statements can only read",
            };
            parts.push((of(new.writes), text.to_owned()));
        }
    }

    /// Puts what has no order into one.
    pub(in super::super) fn sort(&mut self) {
        self.statements.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn query_terms(&mut self) -> Option<QueryTerms> {
        let mut number = |key, most, default| match self.fields.key(key) {
            None => Some(default),
            Some(_) => self.fields.number(key, 1..=most, self.problems),
        };
        let max_rows = number("max-rows", MAX_ROWS, DEFAULT_ROWS);
        let max_bytes = number("max-bytes", MAX_BYTES, DEFAULT_BYTES);
        let timeout_ms = number("timeout-ms", MAX_TIME_MS, DEFAULT_TIME_MS);
        let writes = match self.fields.key("writes") {
            None => Some(false),
            Some(_) => self.fields.boolean("writes", self.problems),
        };
        let statements = self.statements();
        Some(QueryTerms {
            statements: statements?,
            max_rows: max_rows?,
            max_bytes: max_bytes?,
            timeout_ms: timeout_ms?,
            writes: writes?,
        })
    }

    fn statements(&mut self) -> Option<Vec<Statement>> {
        let example = "[[grant.statement]] with name = \"plan-of\", \
                       sql = \"SELECT plan FROM customers WHERE id = $1\", parameters = [\"int8\"]";
        let what = "a grant of \"query\"";
        self.fields.need("statement", what, example, self.problems);
        let tables = self.fields.array("statement", "tables", self.problems)?;
        if tables.value.is_empty() || tables.value.len() > MAX_STATEMENTS {
            let message = format!("a grant of \"query\" has 1 to {MAX_STATEMENTS} statements");
            let help = format!("for example: {example}");
            self.problems.add(tables.span, message, "not so many", help);
            return None;
        }
        let (mut statements, mut complete): (Vec<Statement>, _) = (Vec::new(), true);
        for table in &tables.value {
            let Some((statement, span)) = self.statement(table) else {
                complete = false;
                continue;
            };
            let same = |other: &Statement| other.name == statement.name;
            if statements.iter().any(same) {
                let message = format!("two statements have the name {:?}", statement.name.as_str());
                let help = "a policy says which statement by its name".to_owned();
                self.problems.add(span, message, "the second one", help);
                complete = false;
            }
            statements.push(statement);
        }
        complete.then_some(statements)
    }

    fn statement(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(Statement, Span)> {
        let DeValue::Table(table) = value.get_ref() else {
            let found = article(value.get_ref());
            self.problems.add(
                value.span(),
                format!("a statement must be a table, not {found}"),
                "not a table",
                "start each with [[grant.statement]]".to_owned(),
            );
            return None;
        };
        let span = value.span();
        let fields = Fields::new(
            table,
            span.start..span.start.saturating_add(1).min(span.end),
        );
        let keys = ["name", "sql", "parameters", "max-rows"];
        fields.only("a statement", &keys, self.problems);
        let name = fields
            .needed("name", "a statement", "name = \"plan-of\"", self.problems)
            .and_then(|found| accept(found, StatementName::parse, self.problems));
        let example = "sql = \"SELECT plan FROM customers WHERE id = $1\"";
        let sql = fields.needed("sql", "a statement", example, self.problems);
        let parameters = self.parameters(&fields);
        let max_rows = match fields.key("max-rows") {
            None => Some(None),
            Some(_) => fields
                .number("max-rows", 1..=MAX_ROWS, self.problems)
                .map(Some),
        };
        let (sql, parameters) = (sql?, parameters?);
        let visible = |byte: u8| byte.is_ascii_graphic() || b" \t\r\n".contains(&byte);
        let is_text = !sql.value.trim().is_empty()
            && sql.value.len() <= MAX_SQL_BYTES
            && sql.value.bytes().all(visible);
        if !is_text {
            self.problems.add(
                sql.span,
                format!("a statement has 1 to {MAX_SQL_BYTES} characters of ASCII"),
                "not valid",
                "give other text as a parameter".to_owned(),
            );
            return None;
        }
        let highest = highest_placeholder(sql.value);
        if highest != Some(parameters.len()) {
            let message = match parameters.len() {
                0 => "the statement has placeholders, and no parameters".to_owned(),
                1 => "the statement has one parameter, and its highest placeholder is not $1"
                    .to_owned(),
                count => format!(
                    "the statement has {count} parameters, and its highest placeholder is not ${count}"
                ),
            };
            let help = "$1 is the first of \"parameters\"; name the type of each".to_owned();
            self.problems.add(sql.span, message, "does not fit", help);
            return None;
        }
        let statement = Statement {
            name: name?.value,
            sql: sql.value.into(),
            parameters,
            max_rows: max_rows?,
        };
        Some((statement, span))
    }

    fn parameters(&mut self, fields: &Fields<'_, '_>) -> Option<Vec<ParameterType>> {
        if fields.key("parameters").is_none() {
            return Some(Vec::new());
        }
        let values = fields.array("parameters", "texts", self.problems)?;
        if values.value.len() > MAX_PARAMETERS {
            let message = format!("a statement has at most {MAX_PARAMETERS} parameters");
            self.problems.add(values.span, message, "too many", None);
            return None;
        }
        let words = ParameterType::ALL.map(|one| one.as_str());
        let (mut types, mut complete) = (Vec::new(), true);
        for value in &values.value {
            let Some(found) = text(value, "a type", self.problems) else {
                complete = false;
                continue;
            };
            let mut known = ParameterType::ALL.into_iter();
            if let Some(known) = known.find(|one| one.as_str() == found.value) {
                types.push(known);
                continue;
            }
            let near = did_you_mean(found.value, words);
            self.problems.add(
                found.span,
                format!("unknown type {:?}{near}", found.value),
                "not a type here",
                format!(
                    "types: {}; cast in the statement to others, such as $1::date for a text",
                    words.join(", ")
                ),
            );
            complete = false;
        }
        complete.then_some(types)
    }
}

/// The highest `$n`; `Some(0)` without any, none for a number that is none.
fn highest_placeholder(sql: &str) -> Option<usize> {
    let mut highest = 0;
    for part in sql.split('$').skip(1) {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            highest = highest.max(part.get(..digits)?.parse().ok()?);
        }
    }
    Some(highest)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::super::super::{Grants, Terms};
    use super::*;

    const HEAD: &str = "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"db\"\nuse = \"query\"\n\
                        to = [{ route = \"db\" }]\n";
    const ONE: &str = "[[grant.statement]]\nname = \"one\"\nsql = \"SELECT 1\"\n";

    fn parse(text: &str) -> Result<Grants, String> {
        Grants::parse("grants.toml", text).map_err(|error| error.to_string())
    }

    fn terms(grants: &Grants) -> QueryTerms {
        match &grants.iter().next().unwrap().terms {
            Terms::Query(terms) => terms.clone(),
            _ => panic!("a grant of query"),
        }
    }

    #[test]
    fn placeholders_are_counted_by_the_highest() {
        assert_eq!(highest_placeholder("SELECT 1"), Some(0));
        assert_eq!(highest_placeholder("SELECT $2, $1::text, $$x$$"), Some(2));
        assert_eq!(highest_placeholder("SELECT $99999999999999999999"), None);
    }

    #[test]
    fn a_grant_is_read_and_written_out_the_same() {
        let text = format!(
            "{HEAD}max-rows = 5\nwrites = true\n{ONE}[[grant.statement]]\nname = \"two\"\n\
             sql = \"\"\"\nINSERT INTO t\n\tVALUES ($1, \"$2\") -- \\\\\n\"\"\"\n\
             parameters = [\"int8\", \"text\"]\nmax-rows = 9\n"
        );
        let grants = parse(&text).unwrap();
        let read = terms(&grants);
        assert_eq!(
            (read.max_rows, read.max_bytes, read.timeout_ms),
            (5, 65_536, 1000)
        );
        assert!(read.writes);
        let two = read.statement("two").unwrap();
        assert_eq!(two.parameters, [ParameterType::Int8, ParameterType::Text]);
        assert_eq!(read.max_rows_of(two), 5, "the grant's is less");
        let again = parse(&grants.to_toml()).unwrap();
        assert_eq!(terms(&again), read);
        assert!(grants.diff(&again).is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_statement_is_said_in_its_place() {
        assert!(parse(&format!("{HEAD}{ONE}")).is_ok(), "control");
        let one = |more: &str| format!("{HEAD}{ONE}{more}");
        let with = |sql: &str, more: &str| {
            format!("{HEAD}[[grant.statement]]\nname = \"a\"\nsql = \"{sql}\"\n{more}")
        };
        for (text, part) in [
            (HEAD.to_owned(), "needs \"statement\""),
            (format!("{HEAD}statement = []\n"), "1 to 64 statements"),
            (one(ONE), "two statements have the name"),
            (one("row = 1\n"), "unknown key \"row\""),
            (with("", ""), "1 to 16384 characters"),
            (with("SELECT '\\u00e9'", ""), "1 to 16384 characters"),
            (with("SELECT $1", ""), "and no parameters"),
            (
                with("SELECT 1", "parameters = [\"text\"]\n"),
                "placeholder is not $1",
            ),
            (
                with("SELECT $1", "parameters = [\"txt\"]\n"),
                "did you mean \"text\"",
            ),
            (
                one("").replace("db\" }]", "db\", paths = [\"/\"] }]"),
                "\"paths\" has no meaning",
            ),
            (
                one("").replace(
                    "{ route = \"db\" }",
                    "{ route = \"db\" }, { route = \"e\" }",
                ),
                "names one route",
            ),
            (
                one("").replace("\"query\"", "\"mac-sign\""),
                "no meaning for the use",
            ),
            (format!("{HEAD}max-rows = 0\n{ONE}"), "from 1 to 10000"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(part), "{part}:\n{error}");
        }
    }

    #[test]
    fn a_change_of_a_statement_is_wider_and_less_of_it_narrower() {
        let old = parse(&format!("{HEAD}{ONE}")).unwrap();
        let effects = |text: &str| {
            let changes = parse(text).unwrap().diff(&old);
            let parts = changes.into_iter().flat_map(|change| change.parts);
            parts.map(|(effect, _)| effect).collect::<Vec<_>>()
        };
        assert_eq!(effects(&format!("{HEAD}{ONE}")), []);
        let other = format!("{HEAD}{ONE}").replace("SELECT 1", "SELECT 2");
        assert_eq!(effects(&other), [Effect::Wider]);
        let narrower = format!("{HEAD}max-bytes = 10\n{ONE}max-rows = 1\n");
        assert_eq!(effects(&narrower), [Effect::Narrower, Effect::Narrower]);
        assert_eq!(
            effects(&format!("{HEAD}writes = true\n{ONE}")),
            [Effect::Wider]
        );
    }
}
