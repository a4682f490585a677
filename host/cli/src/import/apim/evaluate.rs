//! What expressions come to: parameters, variables and the functions that depend
//! on nothing else.
//!
//! A value remembers whether a secure parameter went into it, so that nothing
//! made of one is ever shown.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use keyward::names::KeyVaultReference;
use serde_json::{Map, Value};

use super::expression::{Expression, Malformed, Written, read};
use super::json::{given, member};

/// The longest text that an expression may make, in bytes (Azure Resource Manager,
/// "Template limits").
const MAX_TEXT_BYTES: usize = 131_072;
/// How much a template may take, all told, in calls and in parts of values: some
/// make a great deal of little.
const MAX_STEPS: u32 = 200_000;
/// How many variables may lead through each other.
const MAX_CHAIN: usize = 32;

/// A value of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    /// What it is.
    pub(super) value: Value,
    /// It holds something of a secure parameter.
    pub(super) secure: bool,
}

impl Known {
    fn open(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            secure: false,
        }
    }
}

/// Why a value is not known. None carries a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unknown {
    /// A parameter that nobody gave.
    #[error("the parameter {0:?} has no default and was not given")]
    Parameter(String),
    /// A parameter that there isn't.
    #[error("there is no parameter {0:?}")]
    NoParameter(String),
    /// A parameter that is read from a Key Vault at each deployment.
    #[error("the parameter {name:?} is a secret of a key vault")]
    KeyVault {
        /// The parameter.
        name: String,
        /// The secret, as far as the file names one.
        reference: Option<KeyVaultReference>,
    },
    /// A variable that there isn't.
    #[error("there is no variable {0:?}")]
    NoVariable(String),
    /// A variable that is made of itself.
    #[error("the variable {0:?} is made of itself")]
    Cycle(String),
    /// It depends on what is in Azure, or on a function that is not known here.
    #[error("{0}() asks Azure, or is not known here")]
    Function(String),
    /// It depends on which of Azure's clouds is meant.
    #[error("environment() depends on the cloud: say which with --cloud")]
    Cloud,
    /// A function with something that it does not take.
    #[error("{0}() can't take what it is given")]
    Arguments(String),
    /// A member that isn't there.
    #[error("it asks for a member that is not there")]
    Member,
    /// Not an expression.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Too long or too much work.
    #[error("it takes too much to work out")]
    TooMuch,
}

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Cloud {
    /// Azure itself.
    Public,
    /// Azure operated by 21Vianet.
    China,
    /// Azure Government.
    UsGovernment,
}

impl Cloud {
    /// What `environment().suffixes.keyvaultDns` is there.
    pub(super) fn key_vault_suffix(self) -> &'static str {
        match self {
            Self::Public => ".vault.azure.net",
            Self::China => ".vault.azure.cn",
            Self::UsGovernment => ".vault.usgovcloudapi.net",
        }
    }
}

/// A parameter as it was given.
#[derive(Clone, Debug)]
pub(super) enum Parameter {
    /// A value.
    Given(Known),
    /// A secret of a key vault (`reference`), read at each deployment.
    KeyVault(Option<KeyVaultReference>),
    /// It is not known, and why.
    Unknown(Unknown),
}

/// Where expressions are worked out: the parameters and variables of a template.
pub(super) struct Scope<'t> {
    /// By their names in lower case.
    parameters: BTreeMap<String, Parameter>,
    variables: Option<&'t Value>,
    /// The variables that are being worked out.
    chain: RefCell<Vec<String>>,
    /// What is left to do, of all scopes of one template.
    steps: &'t Cell<u32>,
    cloud: Option<Cloud>,
    /// The number of a copy, where a resource is copied.
    copy: Cell<Option<u32>>,
    /// Strings that look like expressions are texts: what lists hold.
    literal: bool,
}

/// What is left to do at the beginning.
pub(super) fn steps() -> Cell<u32> {
    Cell::new(MAX_STEPS)
}

impl<'t> Scope<'t> {
    /// The scope of a template, with its parameters as they are given.
    pub(super) fn new(
        template: &'t Value,
        given: &BTreeMap<String, Parameter>,
        steps: &'t Cell<u32>,
        cloud: Option<Cloud>,
    ) -> Self {
        let mut scope = Self {
            parameters: BTreeMap::new(),
            variables: member(template, "variables"),
            chain: RefCell::default(),
            steps,
            cloud,
            copy: Cell::new(None),
            literal: false,
        };
        let declared = member(template, "parameters").and_then(Value::as_object);
        let mut left: Vec<_> = declared.into_iter().flatten().collect();
        // A default may use other parameters, in whatever order they stand: those
        // that wait for others come again, for as long as that leads anywhere.
        loop {
            let before = left.len();
            let later = left
                .into_iter()
                .filter(|(name, declared)| !scope.declare(name, declared, given, false));
            left = later.collect();
            if left.len() == before {
                break;
            }
        }
        for (name, declared) in left {
            scope.declare(name, declared, given, true);
        }
        scope
    }

    /// Takes a parameter in; `false` if its default uses one that isn't there yet,
    /// unless this is the `last` time.
    fn declare(
        &mut self,
        name: &str,
        declared: &Value,
        given: &BTreeMap<String, Parameter>,
        last: bool,
    ) -> bool {
        let kind = member(declared, "type").and_then(Value::as_str);
        let secure = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("secure"));
        let key = name.to_ascii_lowercase();
        let parameter = match given.get(&key) {
            Some(parameter) => parameter.clone(),
            None => match super::json::member(declared, "defaultValue")
                .map(|default| self.value(default))
            {
                Some(Err(Unknown::NoParameter(_))) if !last => return false,
                Some(worked_out) => worked_out.map_or_else(Parameter::Unknown, Parameter::Given),
                None => Parameter::Unknown(Unknown::Parameter(name.to_owned())),
            },
        };
        let parameter = match parameter {
            Parameter::Given(known) => Parameter::Given(Known {
                secure: known.secure || secure,
                ..known
            }),
            other => other,
        };
        self.parameters.insert(key, parameter);
        true
    }

    /// A scope in which every string is what it says.
    pub(super) fn of_texts(steps: &'t Cell<u32>) -> Self {
        Self {
            parameters: BTreeMap::new(),
            variables: None,
            chain: RefCell::default(),
            steps,
            cloud: None,
            copy: Cell::new(None),
            literal: true,
        }
    }

    /// Which copy of a resource is worked out.
    pub(super) fn set_copy(&self, number: Option<u32>) {
        self.copy.set(number);
    }

    /// The parameters that a nested template is given: texts are worked out here.
    pub(super) fn parameters_of(&self, given: Option<&Value>) -> BTreeMap<String, Parameter> {
        let given = given.and_then(Value::as_object).into_iter().flatten();
        given
            .map(|(name, entry)| {
                let parameter = match (
                    super::json::given(entry, "reference"),
                    member(entry, "value"),
                ) {
                    (Some(reference), _) => Parameter::KeyVault(self.key_vault(reference)),
                    (None, Some(value)) => self
                        .value(value)
                        .map_or_else(Parameter::Unknown, Parameter::Given),
                    (None, None) => Parameter::Unknown(Unknown::Parameter(name.clone())),
                };
                (name.to_ascii_lowercase(), parameter)
            })
            .collect()
    }

    /// `{keyVault: {id}, secretName, secretVersion}`: the vault's name is the last
    /// part of its id.
    fn key_vault(&self, reference: &Value) -> Option<KeyVaultReference> {
        let text = |value: &Value| match self.value(value).ok()?.value {
            Value::String(text) => Some(text),
            _ => None,
        };
        let id = text(member(member(reference, "keyVault")?, "id")?)?;
        let vault = id.rsplit('/').next()?;
        let secret = text(member(reference, "secretName")?)?;
        let version = match given(reference, "secretVersion") {
            Some(version) => text(version)?,
            None => String::new(),
        };
        let written = format!(
            "@Microsoft.KeyVault(VaultName={vault};SecretName={secret};SecretVersion={version})"
        );
        KeyVaultReference::parse(&written).ok()
    }

    /// What a value of the template comes to, expressions in it worked out.
    pub(super) fn value(&self, value: &Value) -> Result<Known, Unknown> {
        match value {
            Value::String(text) if self.literal => Ok(Known::open(text.as_str())),
            Value::String(text) => match read(text)? {
                Written::Literal(text) => Ok(Known::open(text)),
                Written::Expression(expression) => self.work_out(&expression),
            },
            Value::Array(items) => {
                let mut secure = false;
                let mut array = Vec::with_capacity(items.len());
                for item in items {
                    let known = self.value(item)?;
                    secure |= known.secure;
                    array.push(known.value);
                }
                Ok(Known {
                    value: Value::Array(array),
                    secure,
                })
            }
            Value::Object(members) => {
                let mut secure = false;
                let mut object = Map::new();
                for (key, item) in members {
                    let known = self.value(item)?;
                    secure |= known.secure;
                    object.insert(key.clone(), known.value);
                }
                Ok(Known {
                    value: Value::Object(object),
                    secure,
                })
            }
            other => Ok(Known::open(other.clone())),
        }
    }

    fn work_out(&self, expression: &Expression) -> Result<Known, Unknown> {
        self.spend(1)?;
        let known = self.step(expression)?;
        self.spend(weight(&known.value, self.steps.get()))?;
        Ok(known)
    }

    fn spend(&self, steps: u32) -> Result<(), Unknown> {
        let left = self
            .steps
            .get()
            .checked_sub(steps)
            .ok_or(Unknown::TooMuch)?;
        self.steps.set(left);
        Ok(())
    }

    fn step(&self, expression: &Expression) -> Result<Known, Unknown> {
        match expression {
            Expression::Text(text) => Ok(Known::open(text.as_str())),
            Expression::Number(number) => Ok(Known::open(*number)),
            Expression::Member { of, key } => {
                let of = self.work_out(of)?;
                let key = self.work_out(key)?;
                let found = match &key.value {
                    Value::String(name) => member(&of.value, name),
                    Value::Number(number) => {
                        let index = number
                            .as_u64()
                            .and_then(|index| usize::try_from(index).ok());
                        index.and_then(|index| of.value.as_array()?.get(index))
                    }
                    _ => None,
                };
                Ok(Known {
                    value: found.ok_or(Unknown::Member)?.clone(),
                    secure: of.secure || key.secure,
                })
            }
            Expression::Call { name, arguments } => self.call(name, arguments),
        }
    }

    fn call(&self, name: &str, arguments: &[Expression]) -> Result<Known, Unknown> {
        match (name, arguments) {
            // Only the branch that counts: the other may ask Azure.
            ("if", [condition, yes, no]) => {
                let condition = self.work_out(condition)?;
                let branch = match condition.value {
                    Value::Bool(true) => yes,
                    Value::Bool(false) => no,
                    _ => return Err(Unknown::Arguments(name.to_owned())),
                };
                let mut known = self.work_out(branch)?;
                known.secure |= condition.secure;
                return Ok(known);
            }
            ("coalesce", some) => {
                for argument in some {
                    let known = self.work_out(argument)?;
                    if !known.value.is_null() {
                        return Ok(known);
                    }
                }
                return Ok(Known::open(Value::Null));
            }
            _ => {}
        }
        let known = arguments.iter().map(|argument| self.work_out(argument));
        let known = known.collect::<Result<Vec<Known>, Unknown>>();
        // What asks Azure has no answer, whatever it is given.
        if !FUNCTIONS.contains(&name) {
            return Err(Unknown::Function(name.to_owned()));
        }
        let known = known?;
        let secure = known.iter().any(|known| known.secure);
        let values: Vec<&Value> = known.iter().map(|known| &known.value).collect();
        match (name, values.as_slice()) {
            ("parameters", [Value::String(of)]) => self.parameter(of),
            ("variables", [Value::String(of)]) => self.variable(of),
            ("environment", []) => self.environment(),
            ("copyindex", given) => {
                let offset = given
                    .iter()
                    .rev()
                    .find_map(|value| value.as_u64())
                    .unwrap_or(0);
                let number = self.copy.get().ok_or(Unknown::Arguments(name.to_owned()))?;
                Ok(Known::open(u64::from(number).saturating_add(offset)))
            }
            (_, values) => {
                let value = pure(name, values).ok_or(Unknown::Arguments(name.to_owned()))?;
                let long = value
                    .as_str()
                    .is_some_and(|text| text.len() > MAX_TEXT_BYTES)
                    || value
                        .as_array()
                        .is_some_and(|items| items.len() > MAX_TEXT_BYTES / 16);
                match long {
                    true => Err(Unknown::TooMuch),
                    false => Ok(Known { value, secure }),
                }
            }
        }
    }

    fn parameter(&self, name: &str) -> Result<Known, Unknown> {
        match self.parameters.get(&name.to_ascii_lowercase()) {
            Some(Parameter::Given(known)) => Ok(known.clone()),
            Some(Parameter::KeyVault(reference)) => Err(Unknown::KeyVault {
                name: name.to_owned(),
                reference: reference.clone(),
            }),
            Some(Parameter::Unknown(unknown)) => Err(unknown.clone()),
            None => Err(Unknown::NoParameter(shortened(name))),
        }
    }

    fn variable(&self, name: &str) -> Result<Known, Unknown> {
        let found = self.variables.and_then(|variables| member(variables, name));
        let value = found.ok_or_else(|| Unknown::NoVariable(shortened(name)))?;
        let key = name.to_ascii_lowercase();
        {
            let mut chain = self.chain.borrow_mut();
            if chain.contains(&key) {
                return Err(Unknown::Cycle(shortened(name)));
            }
            if chain.len() >= MAX_CHAIN {
                return Err(Unknown::TooMuch);
            }
            chain.push(key);
        }
        let known = self.value(value);
        self.chain.borrow_mut().pop();
        known
    }

    /// Of it, what names hosts of key vaults.
    fn environment(&self) -> Result<Known, Unknown> {
        let cloud = self.cloud.ok_or(Unknown::Cloud)?;
        let suffixes = serde_json::json!({ "keyvaultDns": cloud.key_vault_suffix() });
        Ok(Known::open(serde_json::json!({ "suffixes": suffixes })))
    }
}

/// How much a value is, counted as far as the limit.
fn weight(value: &Value, limit: u32) -> u32 {
    let mut left = limit;
    let mut all = vec![value];
    while let Some(value) = all.pop() {
        let own = match value {
            Value::String(text) => text.len() / 64,
            Value::Array(items) => {
                all.extend(items);
                1
            }
            Value::Object(members) => {
                all.extend(members.values());
                1
            }
            _ => 1,
        };
        left = left.saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
    }
    limit.saturating_sub(left)
}

/// A name in a message.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The functions that are known.
const FUNCTIONS: [&str; 25] = [
    "parameters",
    "variables",
    "environment",
    "copyindex",
    "concat",
    "format",
    "tolower",
    "toupper",
    "trim",
    "string",
    "int",
    "replace",
    "split",
    "first",
    "last",
    "length",
    "empty",
    "equals",
    "not",
    "and",
    "or",
    "true",
    "false",
    "null",
    "createarray",
];

/// Those whose answer is in their arguments; `None` where they can't take them.
fn pure(name: &str, arguments: &[&Value]) -> Option<Value> {
    let truth = |value: &Value| value.as_bool();
    Some(match (name, arguments) {
        ("true", []) => Value::Bool(true),
        ("false", []) => Value::Bool(false),
        ("null", []) => Value::Null,
        ("concat", [Value::Array(_), ..]) => {
            let mut all = Vec::new();
            for argument in arguments {
                all.extend_from_slice(argument.as_array()?);
            }
            Value::Array(all)
        }
        ("concat", [_, ..]) => {
            let texts: Option<Vec<String>> = arguments.iter().map(|value| plain(value)).collect();
            Value::String(texts?.concat())
        }
        ("format", [Value::String(pattern), rest @ ..]) => Value::String(format(pattern, rest)?),
        ("tolower", [Value::String(text)]) => Value::String(text.to_lowercase()),
        ("toupper", [Value::String(text)]) => Value::String(text.to_uppercase()),
        ("trim", [Value::String(text)]) => Value::String(text.trim().to_owned()),
        ("string", [value]) => Value::String(plain(value)?),
        ("int", [Value::Number(number)]) => Value::Number(number.clone()),
        ("int", [Value::String(text)]) => Value::from(text.parse::<i64>().ok()?),
        ("replace", [Value::String(text), Value::String(from), Value::String(to)]) => {
            match from.is_empty() {
                true => return None,
                // Before it is made: a short text can become a very long one.
                false => {
                    let grown = text.matches(from.as_str()).count().saturating_mul(to.len());
                    if grown > MAX_TEXT_BYTES {
                        return None;
                    }
                    Value::String(text.replace(from.as_str(), to))
                }
            }
        }
        ("split", [Value::String(text), Value::String(mark)]) if !mark.is_empty() => {
            Value::Array(text.split(mark.as_str()).map(Value::from).collect())
        }
        ("first", [Value::Array(items)]) => items.first()?.clone(),
        ("last", [Value::Array(items)]) => items.last()?.clone(),
        ("first", [Value::String(text)]) => Value::String(text.chars().take(1).collect()),
        ("last", [Value::String(text)]) => Value::String(text.chars().rev().take(1).collect()),
        ("length", [Value::Array(items)]) => Value::from(items.len()),
        ("length", [Value::String(text)]) => Value::from(text.encode_utf16().count()),
        ("length", [Value::Object(members)]) => Value::from(members.len()),
        ("empty", [value]) => Value::Bool(match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => return None,
        }),
        ("equals", [one, other]) => Value::Bool(one == other),
        ("not", [value]) => Value::Bool(!truth(value)?),
        ("and", [_, ..]) => {
            let all: Option<Vec<bool>> = arguments.iter().map(|value| truth(value)).collect();
            Value::Bool(all?.into_iter().all(|value| value))
        }
        ("or", [_, ..]) => {
            let all: Option<Vec<bool>> = arguments.iter().map(|value| truth(value)).collect();
            Value::Bool(all?.into_iter().any(|value| value))
        }
        ("createarray", items) => {
            Value::Array(items.iter().map(|value| (*value).clone()).collect())
        }
        _ => return None,
    })
}

/// A value as a text, where it has one form.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        // As .NET writes them.
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// `format('{0}/{1}', …)`; widths and forms (`{0:N}`) are not taken.
fn format(pattern: &str, arguments: &[&Value]) -> Option<String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at_checked(at)?;
        out.push_str(before);
        if out.len() > MAX_TEXT_BYTES {
            return None;
        }
        if let Some(after) = from.strip_prefix("{{") {
            out.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            out.push('}');
            rest = after;
        } else {
            let (number, after) = from.strip_prefix('{')?.split_once('}')?;
            let argument = arguments.get(number.trim().parse::<usize>().ok()?)?;
            out.push_str(&plain(argument)?);
            rest = after;
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use serde_json::json;

    fn template() -> Value {
        json!({
            "parameters": {
                "service": { "type": "String", "defaultValue": "shop-apim" },
                "needed": { "type": "string" },
                "list": { "type": "array", "defaultValue": ["a", "b"] },
                "key": { "type": "SecureString", "defaultValue": "CANARY-1" },
                "other": { "type": "string", "defaultValue": "[concat(parameters('service'), '-2')]" },
            },
            "variables": {
                "host": "[format('{0}.example.com', parameters('service'))]",
                "object": { "inner": { "port": 8443 } },
                "ring": "[variables('ring2')]",
                "ring2": "[variables('RING')]",
                "bomb0": "x",
                "bomb": "[concat(variables('half'), variables('half'))]",
                "half": "[concat(variables('quarter'), variables('quarter'))]",
                "quarter": "",
                "header": "[concat('Bearer ', parameters('key'))]",
            },
        })
    }

    fn known(text: &str) -> Result<Known, Unknown> {
        let (template, steps) = (template(), steps());
        Scope::new(&template, &BTreeMap::new(), &steps, Some(Cloud::Public)).value(&json!(text))
    }

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(known(text), Ok(Known::open(expected)), "{text}");
    }

    #[test]
    fn expressions_are_worked_out() {
        check("plain", json!("plain"));
        check("[[literal]", json!("[literal]"));
        check(
            "[concat(parameters('SERVICE'), '/', 'shop')]",
            json!("shop-apim/shop"),
        );
        check("[variables('host')]", json!("shop-apim.example.com"));
        check("[parameters('other')]", json!("shop-apim-2"));
        check("[variables('object').inner['port']]", json!(8443));
        check("[parameters('list')[1]]", json!("b"));
        check("[last(split('a/b/c', '/'))]", json!("c"));
        check(
            "[if(equals(parameters('service'), 'x'), reference('y'), toUpper('no'))]",
            json!("NO"),
        );
        check("[coalesce(null(), 'a')]", json!("a"));
        check("[format('{{{0}}}', 3)]", json!("{3}"));
        check(
            "[concat('https://shop', environment().suffixes.keyvaultDns)]",
            json!("https://shop.vault.azure.net"),
        );
        check("[replace('a-b', '-', '')]", json!("ab"));
    }

    #[test]
    fn what_is_not_known_says_why() {
        let unknown = |text: &str| known(text).unwrap_err().to_string();
        assert_eq!(
            unknown("[parameters('needed')]"),
            "the parameter \"needed\" has no default and was not given"
        );
        assert_eq!(
            unknown("[parameters('nobody')]"),
            "there is no parameter \"nobody\""
        );
        assert_eq!(
            unknown("[variables('nobody')]"),
            "there is no variable \"nobody\""
        );
        assert_eq!(
            unknown("[variables('ring')]"),
            "the variable \"RING\" is made of itself"
        );
        assert_eq!(
            unknown("[reference(resourceId('x', 'y')).clientId]"),
            "reference() asks Azure, or is not known here"
        );
        assert_eq!(
            unknown("[concat(uniqueString('x'), 'y')]"),
            "uniquestring() asks Azure, or is not known here"
        );
        assert_eq!(
            unknown("[toLower(3)]"),
            "tolower() can't take what it is given"
        );
        assert_eq!(
            unknown("[variables('object').nobody]"),
            "it asks for a member that is not there"
        );
    }

    #[test]
    fn what_a_secure_parameter_goes_into_is_secure() {
        for text in [
            "[parameters('key')]",
            "[variables('header')]",
            "[toLower(concat('x', parameters('key')))]",
        ] {
            assert!(known(text).unwrap().secure, "{text}");
        }
        assert!(!known("[parameters('service')]").unwrap().secure);
    }

    #[test]
    fn little_templates_do_not_make_much_work() {
        let mut variables = Map::new();
        variables.insert("v0".to_owned(), json!("xxxxxxxx"));
        variables.insert("e0".to_owned(), json!(""));
        for n in 1..=30 {
            let before = n - 1;
            variables.insert(
                format!("v{n}"),
                json!(format!(
                    "[concat(variables('v{before}'), variables('v{before}'))]"
                )),
            );
            variables.insert(
                format!("e{n}"),
                json!(format!(
                    "[concat(variables('e{before}'), variables('e{before}'))]"
                )),
            );
        }
        let template = json!({ "variables": variables });
        let mut parameters = Map::new();
        parameters.insert("p00".to_owned(), json!({ "defaultValue": [0] }));
        for n in 1..=30 {
            let before = n - 1;
            let twice =
                format!("[createArray(parameters('p{before:02}'), parameters('p{before:02}'))]");
            parameters.insert(format!("p{n:02}"), json!({ "defaultValue": twice }));
        }
        let template_of_arrays = json!({ "parameters": parameters });
        let steps_of_arrays = steps();
        let scope = Scope::new(
            &template_of_arrays,
            &BTreeMap::new(),
            &steps_of_arrays,
            None,
        );
        assert_eq!(
            scope.value(&json!("[parameters('p30')]")),
            Err(Unknown::TooMuch)
        );
        for name in ["v30", "e30"] {
            let steps = steps();
            let scope = Scope::new(&template, &BTreeMap::new(), &steps, None);
            let text = json!(format!("[variables('{name}')]"));
            assert_eq!(scope.value(&text), Err(Unknown::TooMuch), "{name}");
        }
    }
}
