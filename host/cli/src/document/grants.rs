//! `keyward document grants`: the grants that documents ask for, as TOML.

use std::fmt::Write as _;

use clap::Args;
use keyward::document::DocumentErrors;
use keyward::document::compile::{Placement, SecretRequest};
use keyward::names::PolicyName;
use keyward::vault::{Class, Grant, Grants, Place, Terms, Use};
use serde_json::{Value, json};

use super::around::{Around, Given, Lacking};
use crate::exit::{Exit, Outcome};
use crate::words::{class_in_words, one_line};
use crate::{Common, grants};

pub(super) const HELP: &str = "\
Prints one [[grant]] for each use of a secret that documents ask for, with the line that
asks and what the destination would learn. Decide, narrow the paths, and put what you want
into the grants file; as comments stand what keyward.toml lacks for the documents to run.

Around a gateway its routes, named values and grants are taken: what is granted already is
said and not printed again. Ends with 4 if something is not granted or the documents can't
run. Without a gateway, say what named values are: --secret NAME, --value NAME=TEXT.

Examples:
  keyward document grants billing.xml
  keyward document grants global=global.xml api=billing.xml --fragment auth=auth.xml
  keyward document grants billing.xml --secret billing-key >> grants.toml
  keyward document grants billing.xml --policy documents -o json";

/// How many segments below a path the examples have.
const SEGMENTS: [&str; 3] = ["", "/{a}", "/{a}/{b}"];

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    given: Given,
    /// The policy that runs the documents; otherwise the one that the configuration
    /// names, or document.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
}

/// A request, and what becomes of it.
struct Asked<'a> {
    request: &'a SecretRequest,
    granted: Granted,
    /// The grant that would allow it.
    toml: String,
}

/// Whether a request is granted.
enum Granted {
    /// By this grant.
    By(String),
    /// There is this grant, which does not allow all of it.
    Less(String, String),
    /// No.
    Not,
    /// There are no grants to compare with.
    Nowhere,
}

impl Show {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let around = self.given.around(common, self.policy.as_ref())?;
        let survey = around.survey();
        let in_force = match &around.config {
            Some(config) => Some(grants::read(config)?),
            None => None,
        };
        let asked: Vec<Asked<'_>> = survey
            .requests
            .iter()
            .map(|request| Asked {
                request,
                granted: granted(&around, request, in_force.as_ref()),
                toml: grant(&around, request),
            })
            .collect();
        let errors = survey.errors.as_deref();
        let output = common.output();
        output.data(
            || text(&around, &asked),
            || to_json(&around, &asked, errors),
        );
        for name in &around.unknown {
            output.warn(format!(
                "nothing says what {{{{{name}}}}} stands for; --secret {name} if it is secret, --value {name}=TEXT if it is not"
            ));
        }
        if let Some(errors) = errors {
            output.say(errors.render(output.colours()).trim_end());
        }
        let missing = asked
            .iter()
            .any(|one| matches!(one.granted, Granted::Not | Granted::Less(..)));
        Ok(if missing || errors.is_some() {
            Exit::Findings
        } else {
            Exit::Success
        })
    }
}

/// What whoever is at the other end learns.
pub(super) fn class_of(request: &SecretRequest) -> Option<Class> {
    request.use_.parse::<Use>().ok().map(|use_| use_.class())
}

/// Where a secret goes, in words.
pub(super) fn placement_in_words(placement: &Placement) -> String {
    match placement {
        Placement::Header(name) => format!("in the header {name} of a request"),
        Placement::Query(name) => format!("in the query parameter {name} of a request"),
        Placement::Basic { user } => {
            format!("as the password of {user}, with Basic authentication")
        }
        Placement::Certificate => "in TLS, as the client's certificate".to_owned(),
        Placement::Token { resource } => format!("for a token for {resource}"),
        Placement::Verify => "to check tokens of clients".to_owned(),
        Placement::Identify => "to know which client calls".to_owned(),
    }
}

/// What kind the secret usually is.
pub(super) fn kind_of(request: &SecretRequest) -> &'static str {
    match &request.placement {
        Placement::Header(_) | Placement::Query(_) => "api-key",
        Placement::Basic { .. } => "basic",
        Placement::Certificate => "certificate",
        Placement::Token { .. } => "oauth-client",
        Placement::Verify => "hmac-key",
        Placement::Identify => "client-keys",
    }
}

/// Where it is asked for: `api.xml:3:5`.
pub(super) fn place_of(request: &SecretRequest) -> String {
    let position = request.position.as_ref();
    position.map_or_else(|| "rate-limit".to_owned(), ToString::to_string)
}

/// The paths of a route to which it goes, and whether they are examples.
fn paths(around: &Around, request: &SecretRequest, route: &str) -> (Vec<String>, bool) {
    let fixed = request.paths.iter().filter(|(of, _)| of == route);
    let fixed: Vec<String> = fixed.map(|(_, path)| path.clone()).collect();
    let main = around.bindings.route.as_ref();
    // What goes with the client's request, too, goes where that goes.
    let own = main.is_some_and(|main| main.as_str() == route);
    if !fixed.is_empty() && !own {
        return (fixed, false);
    }
    let routes = around.config.iter().flat_map(|config| &config.routes);
    let base = routes
        .filter(|known| known.name().as_str() == route)
        .map(|known| known.base_path().to_owned())
        .next()
        .unwrap_or_default();
    let below = around.pipeline.as_ref().filter(|_| own);
    let below = below.map_or("", |pipeline| pipeline.path.as_str());
    let prefix = format!("{base}{}", below.trim_end_matches('/'));
    let examples = SEGMENTS.map(|rest| match (prefix.as_str(), rest) {
        ("", "") => "/".to_owned(),
        (prefix, rest) => format!("{prefix}{rest}"),
    });
    (fixed.into_iter().chain(examples).collect(), true)
}

/// A grant for the grants file, with comments for who decides about it.
pub(super) fn grant(around: &Around, request: &SecretRequest) -> String {
    let toml = grant_as_asked(around, request);
    let Err(error) = Grants::parse("grants.toml", &toml) else {
        return toml;
    };
    // A header that the host writes itself, and the like.
    let mut out = "# This can't be granted as the document has it:\n".to_owned();
    for line in error.to_string().lines() {
        let _ = writeln!(out, "#   {line}");
    }
    for line in toml.lines() {
        let _ = writeln!(out, "# {line}");
    }
    out
}

fn grant_as_asked(around: &Around, request: &SecretRequest) -> String {
    let SecretRequest { alias, use_, .. } = request;
    let policy = &around.policy;
    let class = class_of(request);
    let mut toml = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing into a String can't fail.
        let _ = writeln!(toml, "{text}");
    };
    line(format_args!(
        "# {}: {}",
        place_of(request),
        one_line(&placement_in_words(&request.placement))
    ));
    if let Some(class) = class {
        line(format_args!("# class {class}: {}", class_in_words(class)));
    }
    let id: String = format!("{policy}-{alias}").chars().take(64).collect();
    line(format_args!(
        "[[grant]]\nid = \"{id}\"\npolicy = \"{policy}\""
    ));
    let kind = kind_of(request);
    match &request.secret {
        Some(secret) => line(format_args!("secret = \"{secret}\"  # of kind {kind}")),
        None => line(format_args!(
            "secret = \"{alias}\"  # which secret? one of kind {kind}: keyward secret list"
        )),
    }
    line(format_args!("alias = \"{alias}\"\nuse = \"{use_}\""));
    match &request.placement {
        Placement::Header(name) => {
            line(format_args!("header = \"{}\"", name.to_ascii_lowercase()));
        }
        Placement::Query(name) => line(format_args!("query = \"{name}\"")),
        Placement::Basic { user } => {
            let user = one_line(user);
            line(format_args!(
                "header = \"authorization\"\ntemplate = \"Basic {{secret}}\"  # user and password, the user {user}"
            ));
        }
        Placement::Token { resource } => line(format_args!(
            "endpoint = {{ route = \"identity\", path = \"/oauth2/token\" }}  # your authorisation server\n\
             auth = \"client_secret_basic\"  # or how else it is told who asks\n\
             scopes = [{}]  # as that server names what the token is for",
            toml::Value::from(format!("{}/.default", resource.trim_end_matches('/')))
        )),
        Placement::Verify => line(format_args!(
            "# audiences = [\"https://api.example\"]  # as \"aud\" of tokens names you: without it, those that have one are refused"
        )),
        Placement::Identify => line(format_args!(
            "header = \"ocp-apim-subscription-key\"  # where clients put their key; or: query = \"subscription-key\""
        )),
        Placement::Certificate => {}
    }
    if !request.routes.is_empty() {
        let mut examples = false;
        let mut to = String::new();
        for route in &request.routes {
            if class == Some(Class::A) {
                let _ = writeln!(to, "  {{ route = \"{route}\" }},");
                continue;
            }
            let (paths, are_examples) = paths(around, request, route);
            examples |= are_examples;
            let paths: Vec<String> = paths
                .iter()
                .map(|path| toml::Value::from(path.as_str()).to_string())
                .collect();
            let _ = writeln!(
                to,
                "  {{ route = \"{route}\", paths = [{}] }},",
                paths.join(", ")
            );
        }
        if examples {
            line(format_args!(
                "# Narrow them to what needs it: {{a}} is any one segment; methods = [\"GET\"] says which methods."
            ));
        }
        line(format_args!("to = [\n{to}]"));
    } else if matches!(class, Some(Class::B | Class::C)) {
        line(format_args!(
            "to = [{{ route = \"my-route\", paths = [\"/\"] }}]  # which? no route is known to which it goes"
        ));
    }
    toml
}

/// What keyward.toml lacks, as it would stand there.
pub(super) fn lacking(around: &Around) -> Vec<String> {
    let token = |one: &SecretRequest| matches!(one.placement, Placement::Token { .. });
    let survey = around.survey();
    let identity = survey.requests.iter().any(token)
        && !around
            .config
            .iter()
            .flat_map(|config| &config.route_names)
            .any(|name| name.as_str() == "identity");
    let mut all: Vec<String> = around
        .lacking
        .iter()
        .map(|one| match one {
            Lacking::Route { name, url, unknown } => {
                let where_ = if *unknown { "  # where is it?" } else { "" };
                format!("[[route]]\nname = \"{name}\"\nurl = \"{url}\"{where_}\n")
            }
            Lacking::Open(key, name) => format!(
                "In the [[policy]] \"{}\": {key} = [\"{name}\"], with those that are there\n",
                around.policy
            ),
            Lacking::Issuer { name, route, url } => format!(
                "[issuers.{}]  # {url}\nissuer = \"https://login.example\"  # as \"iss\" of its tokens says it\nroute = \"{route}\"\ndiscovery = {}\n",
                toml::Value::from(name.as_str()),
                toml::Value::from(path_of(url))
            ),
        })
        .collect();
    if identity {
        all.push(
            "[[route]]\nname = \"identity\"\nurl = \"https://login.example\"  # your authorisation server\n"
                .to_owned(),
        );
    }
    all
}

/// The path of a URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

/// Holds a request against the grants in force.
fn granted(around: &Around, request: &SecretRequest, grants: Option<&Grants>) -> Granted {
    let Some(grants) = grants else {
        return Granted::Nowhere;
    };
    let found = request.use_.parse::<Use>().ok();
    let found = found.and_then(|use_| grants.find(&around.policy, &request.alias, use_));
    let Some(grant) = found else {
        return Granted::Not;
    };
    match differs(request, grant) {
        None => Granted::By(grant.id.to_string()),
        Some(less) => Granted::Less(grant.id.to_string(), less),
    }
}

/// What a grant does not allow of what is asked for.
fn differs(request: &SecretRequest, grant: &Grant) -> Option<String> {
    if let Some(secret) = &request.secret
        && secret != grant.secret.as_str()
    {
        return Some(format!("it is of the secret {}", grant.secret));
    }
    let place = match (&request.placement, &grant.terms) {
        (Placement::Header(wanted), Terms::Attach(placement)) => match &placement.place {
            Place::Header { name, .. } => name.as_str().eq_ignore_ascii_case(wanted),
            _ => false,
        },
        (Placement::Query(wanted), Terms::Attach(placement)) => match &placement.place {
            Place::Query { name, .. } => name == wanted,
            _ => false,
        },
        _ => true,
    };
    if !place {
        return Some("it puts the value elsewhere".to_owned());
    }
    let open = |route: &String| grant.to.iter().any(|to| to.route.as_str() == route);
    let missing: Vec<&str> = request
        .routes
        .iter()
        .filter(|route| !open(route))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!("it does not go to {}", missing.join(", ")))
}

fn text(around: &Around, asked: &[Asked<'_>]) -> String {
    let mut out = String::new();
    let lacking = lacking(around);
    if !lacking.is_empty() {
        out.push_str("# keyward.toml lacks for these documents:\n#\n");
        for section in &lacking {
            for line in section.lines() {
                let _ = writeln!(out, "#   {line}");
            }
            out.push_str("#\n");
        }
        out.push('\n');
    }
    for one in asked {
        match &one.granted {
            Granted::By(id) => {
                let _ = writeln!(
                    out,
                    "# {}: {} of {} is granted by \"{id}\"",
                    place_of(one.request),
                    one.request.use_,
                    one.request.alias
                );
            }
            Granted::Less(id, less) => {
                let _ = writeln!(out, "# In place of \"{id}\": {less}.\n{}", one.toml);
            }
            Granted::Not | Granted::Nowhere => {
                let _ = writeln!(out, "{}", one.toml);
            }
        }
    }
    if asked.is_empty() {
        out.push_str("# These documents ask for no secret.\n");
    }
    out.truncate(out.trim_end().len());
    out
}

/// A request as JSON.
pub(super) fn request_in_json(request: &SecretRequest) -> Value {
    json!({
        "alias": request.alias,
        "secret": request.secret,
        "use": request.use_,
        "class": class_of(request).map(|class| class.as_str()),
        "where": placement_in_words(&request.placement),
        "routes": request.routes,
        "paths": request.paths.iter().map(|(route, path)| json!({ "route": route, "path": path })).collect::<Vec<_>>(),
        "from": request.position.as_ref().map(ToString::to_string),
    })
}

fn to_json(around: &Around, asked: &[Asked<'_>], errors: Option<&DocumentErrors>) -> Value {
    let requests = asked.iter().map(|one| {
        let mut value = request_in_json(one.request);
        if let Value::Object(fields) = &mut value {
            let (granted, less) = match &one.granted {
                Granted::By(id) => (Some(id), None),
                Granted::Less(id, less) => (Some(id), Some(less)),
                Granted::Not | Granted::Nowhere => (None, None),
            };
            fields.insert("granted".into(), json!(granted));
            fields.insert("lacks".into(), json!(less));
            fields.insert("toml".into(), json!(one.toml));
        }
        value
    });
    json!({
        "policy": around.policy.as_str(),
        "requests": requests.collect::<Vec<_>>(),
        "configuration": lacking(around),
        "unknown-values": around.unknown,
        "errors": errors.map(DocumentErrors::to_json).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::collections::BTreeMap;

    use keyward::document::named_values::{Lookup, NamedValues};

    use super::super::around::Read;
    use super::super::read_one;
    use super::*;

    struct Secrets;

    impl NamedValues for Secrets {
        fn look_up(&self, name: &str) -> Lookup {
            Lookup::Secret(name.to_owned())
        }
    }

    fn around(inside: &str) -> Around {
        let text = format!("<policies>{inside}</policies>");
        let reading = read_one("api.xml", &text, None, &Secrets);
        let document = reading.document;
        let read = Read {
            config: None,
            documents: vec![document.unwrap_or_else(|| panic!("{}", reading.diagnostics))],
            fragments: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        read.together(None).unwrap()
    }

    fn printed(around: &Around) -> (String, Vec<SecretRequest>) {
        let requests = around.survey().requests;
        let asked: Vec<Asked<'_>> = requests
            .iter()
            .map(|request| Asked {
                request,
                granted: granted(around, request, Some(&Grants::none())),
                toml: grant(around, request),
            })
            .collect();
        (text(around, &asked), requests)
    }

    const EVERY_USE: &str = r#"<inbound>
        <rate-limit calls="10" renewal-period="60"/>
        <validate-jwt header-name="Authorization"><issuer-signing-keys><key>{{jwt}}</key></issuer-signing-keys></validate-jwt>
        <set-header name="X-Key"><value>{{one}}</value></set-header>
        <set-query-parameter name="code"><value>{{two}}</value></set-query-parameter>
        <authentication-basic username="me&quot;]" password="{{login}}"/>
        <authentication-managed-identity resource="https://a.example/"/>
        <authentication-certificate certificate-id="client"/>
        <send-request response-variable-name="r"><set-url>https://b.example/v1/x?y=z</set-url><set-method>GET</set-method>
          <set-header name="x-three"><value>{{three}}</value></set-header></send-request>
    </inbound><backend><forward-request/></backend>"#;

    #[test]
    fn what_is_printed_is_a_grants_file_with_each_use() {
        let around = around(EVERY_USE);
        let (toml, requests) = printed(&around);
        assert_eq!(requests.len(), 8);
        let grants = Grants::parse("grants.toml", &toml).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(grants.len(), 8, "{toml}");
        for request in &requests {
            let Granted::By(_) = granted(&around, request, Some(&grants)) else {
                panic!("{toml}\n{request:?}");
            };
        }
        assert!(toml.contains("# api.xml:4:"), "{toml}");
        let call = grants.iter().find(|grant| grant.secret.as_str() == "three");
        let to = &call.unwrap().to;
        let to = to.first().unwrap();
        assert_eq!(
            (to.route.as_str(), to.paths.first().unwrap().as_str()),
            ("b.example", "/v1/x")
        );
    }

    #[test]
    fn what_no_grant_can_say_is_told_and_kept_out_of_the_file() {
        let around = around(
            "<inbound><set-header name='X-Forwarded-For'><value>{{one}}</value></set-header></inbound><backend><forward-request/></backend>",
        );
        let (toml, _) = printed(&around);
        assert!(toml.contains("can't be granted"), "{toml}");
        assert!(Grants::parse("grants.toml", &toml).unwrap().is_empty());
    }

    #[test]
    fn a_grant_that_allows_less_is_told_from_one_that_allows_it() {
        let around = around(
            "<inbound><set-header name='x-key'><value>{{one}}</value></set-header></inbound><backend><forward-request/></backend>",
        );
        let (toml, requests) = printed(&around);
        for (from, to, lacks) in [
            ("x-key\"\n#", "x-other\"\n#", "puts the value elsewhere"),
            ("secret = \"one\"", "secret = \"two\"", "of the secret two"),
            (
                "route = \"backend\"",
                "route = \"other\"",
                "not go to backend",
            ),
        ] {
            let changed = toml.replace(from, to);
            assert_ne!(changed, toml, "{from}");
            let grants = Grants::parse("grants.toml", &changed).unwrap();
            let found = granted(&around, requests.first().unwrap(), Some(&grants));
            let Granted::Less(_, why) = found else {
                panic!("{changed}");
            };
            assert!(why.contains(lacks), "{why}");
        }
    }
}
