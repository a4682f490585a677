//! From resources to a plan: what each type of resource becomes.

use keyward::document::named_values::{places, whole};
use keyward::egress::Route;
use keyward::names::{KeyVault, KeyVaultReference, NameError, ValueName};

use keyward_gateway::suggest::one_line;

use super::evaluate::Unknown;
use super::guess;
use super::plan::{GrantPlan, Plan, RoutePlan, SecretPlan, SecretValue, StandsFor, ValuePlan};
use super::template::{Found, Part, Resource, Text};

/// The longest plain value, in bytes.
const MAX_PLAIN_BYTES: usize = 4096;
/// The types that become something.
const VALUES: [&str; 2] = ["namedvalues", "properties"];
/// Types that hold credentials which are not taken over, and what to do about each.
const CREDENTIALS: [(&str, &str); 6] = [
    (
        "authorizationservers",
        "a secret of kind oauth-client has the client's id and secret: keyward secret set NAME --kind oauth-client",
    ),
    (
        "openidconnectproviders",
        "a secret of kind oauth-client has the client's id and secret: keyward secret set NAME --kind oauth-client",
    ),
    (
        "identityproviders",
        "it is for the developer portal, which Keyward has none of",
    ),
    (
        "loggers",
        "traces and metrics are configured in [telemetry] of keyward.toml",
    ),
    (
        "subscriptions",
        "consumers' keys are a secret of kind client-keys: keyward client add SUBJECT",
    ),
    ("gateways", "the gateway is Keyward"),
];
const SET_BY_HAND: &str = "set it by hand: keyward value set NAME --plain TEXT";
const SOLVE: &str = "give what is missing with --parameters FILE, or set it by hand";

/// What the resources of a file become.
///
/// Errors: none that a file can bring about; a name that was made is not one.
pub(super) fn plan(found: &Found) -> Result<Plan, NameError> {
    let mut plan = Plan::default();
    for (at, why) in &found.left_out {
        plan.open(at, why, "look at it by hand");
    }
    for resource in &found.resources {
        if VALUES.contains(&resource.kind.as_str()) {
            named_value(&mut plan, resource)?;
        } else if resource.kind == "certificates" {
            certificate(&mut plan, resource)?;
        }
    }
    // After the values that they name.
    for resource in &found.resources {
        let kind = resource.kind.as_str();
        match kind {
            "backends" => backend(&mut plan, resource)?,
            "certificates" => {}
            _ if VALUES.contains(&kind) => {}
            "" => service(&mut plan, resource),
            _ if kind.ends_with("policies") || kind == "policyfragments" => {
                policy(&mut plan, resource)
            }
            _ => {
                let credential = CREDENTIALS.iter().find(|(of, _)| *of == kind);
                if let Some((_, help)) = credential {
                    let name = resource.name.as_deref().unwrap_or("?");
                    plan.open(
                        &resource.at,
                        format!("{kind} {name:?} is not taken over"),
                        *help,
                    );
                } else {
                    let count = plan.not_imported.entry(kind.to_owned()).or_insert(0);
                    *count = count.saturating_add(1);
                }
            }
        }
    }
    for other in &found.others {
        plan.not_imported.entry(other.clone()).or_insert(1);
    }
    Ok(plan)
}

fn named_value(plan: &mut Plan, resource: &Resource) -> Result<(), NameError> {
    let display = resource.part(&["displayName"]);
    let name = match display.text() {
        Some(text) => text.map(|text| text.text),
        None => resource.name.clone(),
    };
    let name = match name.map(|name| ValueName::parse(&name)) {
        Ok(Ok(name)) => name,
        Ok(Err(error)) => {
            plan.open(&display.at, error.to_string(), SET_BY_HAND);
            return Ok(());
        }
        Err(unknown) => {
            plan.open(
                &display.at,
                format!("its name is not known: {unknown}"),
                SOLVE,
            );
            return Ok(());
        }
    };
    if !plan.is_new_value(&name) {
        plan.open(
            &resource.at,
            format!("there is a named value {name} already; this one is left out"),
            "decide which one counts",
        );
        return Ok(());
    }
    let tags = tags(plan, resource);
    let value = resource.part(&["value"]);
    let marked = matches!(resource.part(&["secret"]).is_true(), Some(Ok(true)));
    let key_vault = resource.part(&["keyVault"]);
    let stands_for = if !key_vault.is_none() {
        from_key_vault(plan, &name, &key_vault, "api-key")?
    } else {
        match value.text() {
            Some(Err(Unknown::KeyVault {
                reference: Some(reference),
                ..
            })) => sourced(plan, &name, &reference, None, &value.at)?,
            Some(Ok(text)) => of_text(plan, &name, &value, &text, marked)?,
            // What lists and exports leave out is in API Management only.
            None if marked => {
                let from = SecretValue::InAzure {
                    named_value: resource
                        .name
                        .clone()
                        .ok()
                        // It goes into a command.
                        .filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()))
                        .unwrap_or_else(|| name.to_string()),
                };
                Some(secret(
                    plan,
                    &name,
                    guess::kind(name.as_str()),
                    from,
                    &value.at,
                )?)
            }
            None => {
                plan.open(
                    &value.at,
                    format!("the named value {name} has no value"),
                    SET_BY_HAND,
                );
                None
            }
            Some(Err(unknown)) if marked => {
                plan.open(
                    &value.at,
                    format!("where the value of {name} comes from is not known: {unknown}"),
                    "it is asked for",
                );
                Some(secret(
                    plan,
                    &name,
                    guess::kind(name.as_str()),
                    SecretValue::ByHand,
                    &value.at,
                )?)
            }
            Some(Err(unknown)) => {
                plan.open(
                    &value.at,
                    format!("the named value {name} is not known: {unknown}"),
                    SOLVE,
                );
                None
            }
        }
    };
    if let Some(stands_for) = stands_for {
        plan.values.push(ValuePlan {
            name,
            stands_for,
            tags,
        });
    }
    Ok(())
}

/// Tags that there can be; others are left out and said.
fn tags(plan: &mut Plan, resource: &Resource) -> Vec<String> {
    let part = resource.part(&["tags"]);
    let Some(Ok(texts)) = part.texts() else {
        return Vec::new();
    };
    let (good, bad): (Vec<Text>, Vec<Text>) = texts
        .into_iter()
        .partition(|tag| !tag.secure && keyward::names::Tag::parse(&tag.text).is_ok());
    if !bad.is_empty() {
        plan.open(
            &part.at,
            format!("{} of its tags can't be tags here", bad.len()),
            "tags have 1 to 64 of a-z, 0-9, `.`, `_` and `-`",
        );
    }
    good.into_iter().map(|tag| tag.text).collect()
}

/// A named value whose text is known.
fn of_text(
    plan: &mut Plan,
    name: &ValueName,
    part: &Part<'_>,
    text: &Text,
    marked: bool,
) -> Result<Option<StandsFor>, NameError> {
    if KeyVaultReference::is_meant_by(&text.text) {
        return match KeyVaultReference::parse(&text.text) {
            Ok(reference) => sourced(plan, name, &reference, None, &part.at),
            Err(errors) => {
                plan.open(
                    &part.at,
                    errors.to_string(),
                    "correct it, or set it by hand",
                );
                Ok(None)
            }
        };
    }
    let hidden = match (marked, text.secure) {
        (true, _) => Some("it is marked as a secret"),
        (false, true) => Some("a secure parameter is in it"),
        (false, false) => guess::secret(name.as_str(), &text.text),
    };
    if let Some(why) = hidden {
        let from = match text.as_written {
            true => {
                plan.open(
                    &part.at,
                    format!("the value of {name} stands in the file in clear ({why})"),
                    "whoever could read the file has it: import it from there, and then rotate it",
                );
                SecretValue::InTheFile {
                    path: super::plan::jq(&part.at),
                    index: None,
                }
            }
            false => {
                plan.open(
                    &part.at,
                    format!("the value of {name} comes from a parameter ({why})"),
                    "it is asked for; it can be piped in from where the parameter's value is kept",
                );
                SecretValue::ByHand
            }
        };
        return secret(plan, name, guess::kind(name.as_str()), from, &part.at).map(Some);
    }
    if text.text.trim_start().starts_with("@(") || text.text.trim_start().starts_with("@{") {
        plan.open(
            &part.at,
            format!("the named value {name} is a policy expression"),
            "expressions in values are not worked out: a policy written in Rust can do it",
        );
        return Ok(None);
    }
    let fits = (1..=MAX_PLAIN_BYTES).contains(&text.text.len())
        && text
            .text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\t' | '\r' | '\n'));
    if !fits {
        plan.open(
            &part.at,
            format!("the text of {name} can't be a plain value"),
            "one has 1 to 4096 bytes and no control characters",
        );
        return Ok(None);
    }
    if places(&text.text).next().is_some() {
        plan.open(
            &part.at,
            format!("the text of {name} has places of named values in it, which stay as they are"),
            "values are put in once, as in API Management",
        );
    }
    Ok(Some(StandsFor::Plain(text.text.clone())))
}

/// `keyVault {secretIdentifier, identityClientId}`.
fn from_key_vault(
    plan: &mut Plan,
    name: &ValueName,
    part: &Part<'_>,
    _kind: &str,
) -> Result<Option<StandsFor>, NameError> {
    let Some((reference, client_id)) = identifier(plan, part) else {
        return Ok(None);
    };
    sourced(plan, name, &reference, client_id.as_deref(), &part.at)
}

/// The secret of a key vault and who asks for it.
fn identifier(plan: &mut Plan, part: &Part<'_>) -> Option<(KeyVaultReference, Option<String>)> {
    let identifier = part.part("secretIdentifier");
    let reference = match identifier.text() {
        Some(Ok(text)) => {
            KeyVaultReference::parse_uri(&text.text).map_err(|errors| errors.to_string())
        }
        Some(Err(unknown)) => Err(unknown.to_string()),
        None => Err("it is not there".to_owned()),
    };
    let reference = match reference {
        Ok(reference) => reference,
        Err(why) => {
            let what = format!("the identifier of the secret: {why}");
            plan.open(&identifier.at, what, SOLVE);
            return None;
        }
    };
    let client = part.part("identityClientId");
    let client_id = match client.text() {
        None => None,
        Some(Ok(text)) if text.text.is_empty() => None,
        Some(Ok(text)) if is_uuid(&text.text) => Some(text.text.to_ascii_lowercase()),
        Some(Ok(_)) => {
            plan.open(
                &client.at,
                "the identity is no client id",
                "write it into the source by hand: client-id = \"…\"",
            );
            None
        }
        Some(Err(unknown)) => {
            plan.open(
                &client.at,
                format!("which identity asks is not known: {unknown}"),
                "the system's own is taken; write another into the source: client-id = \"…\"",
            );
            None
        }
    };
    if reference.version().is_some() {
        plan.open(
            &identifier.at,
            "the identifier names a version, so a rotation has no effect",
            "leave the version out of the reference for the newest",
        );
    }
    Some((reference, client_id))
}

/// A named value that is a secret of a key vault.
fn sourced(
    plan: &mut Plan,
    name: &ValueName,
    reference: &KeyVaultReference,
    client_id: Option<&str>,
    at: &str,
) -> Result<Option<StandsFor>, NameError> {
    let origin = origin(plan, reference, client_id)?;
    let guess = guess::kind(name.as_str());
    secret(plan, name, guess, SecretValue::From(origin), at).map(Some)
}

/// `SOURCE:KEY`, with the source in the plan.
fn origin(
    plan: &mut Plan,
    reference: &KeyVaultReference,
    client_id: Option<&str>,
) -> Result<String, NameError> {
    let (label, url) = match reference.vault() {
        KeyVault::Named(name) => (name.clone(), format!("https://{name}.vault.azure.net")),
        at @ KeyVault::At { host, .. } => {
            let label = host.split('.').next().unwrap_or_default();
            (label.to_owned(), format!("https://{at}"))
        }
    };
    let source = plan.source(&url, &label, client_id)?;
    Ok(format!("{source}:{}", reference.key()))
}

fn secret(
    plan: &mut Plan,
    name: &ValueName,
    guess: guess::Guess,
    value: SecretValue,
    at: &str,
) -> Result<StandsFor, NameError> {
    if let Some(note) = guess.note {
        plan.open(
            at,
            format!("{name} is taken for a secret of kind {}", guess.kind),
            note,
        );
    }
    let name = plan.secret_name(name.as_str())?;
    plan.secrets.push(SecretPlan {
        name: name.clone(),
        kind: guess.kind,
        why: guess.why,
        value,
    });
    Ok(StandsFor::Secret(name))
}

fn certificate(plan: &mut Plan, resource: &Resource) -> Result<(), NameError> {
    let wanted = resource
        .name
        .clone()
        .unwrap_or_else(|_| "certificate".to_owned());
    let part = resource.part(&["keyVault"]);
    let value = if part.is_none() {
        let data = resource.part(&["data"]);
        let in_clear = matches!(data.text(), Some(Ok(text)) if text.as_written);
        let what = match in_clear {
            true => format!("the certificate {wanted:?} stands in the file with its private key"),
            false => format!("the certificate {wanted:?} is not in the file"),
        };
        let help = "import it as PEM: openssl pkcs12 -in FILE.pfx -nodes | keyward secret set NAME --kind certificate";
        plan.open(&data.at, what, help);
        SecretValue::ByHand
    } else {
        let Some((reference, client_id)) = identifier(plan, &part) else {
            return Ok(());
        };
        SecretValue::From(origin(plan, &reference, client_id.as_deref())?)
    };
    let name = plan.secret_name(&wanted)?;
    plan.secrets.push(SecretPlan {
        name,
        kind: "certificate",
        why: "it is a certificate".to_owned(),
        value,
    });
    Ok(())
}

fn backend(plan: &mut Plan, resource: &Resource) -> Result<(), NameError> {
    let wanted = match &resource.name {
        Ok(name) => name.clone(),
        Err(unknown) => {
            plan.open(
                &resource.at,
                format!("its name is not known: {unknown}"),
                SOLVE,
            );
            return Ok(());
        }
    };
    let pool = resource.part(&["pool"]);
    if !pool.is_none() {
        plan.open(
            &pool.at,
            format!("the backend {wanted:?} is a pool of others"),
            "a route leads to one place: choose one, or put a balancer there",
        );
        return Ok(());
    }
    for (member, help) in [
        (
            "proxy",
            "requests with credentials go to their backend and through no proxy",
        ),
        (
            "circuitBreaker",
            "there is none; limits and timeouts stand in [[route]]",
        ),
    ] {
        let part = resource.part(&[member]);
        if !part.is_none() {
            plan.open(
                &part.at,
                format!("the backend {wanted:?} has {member}"),
                help,
            );
        }
    }
    for check in ["validateCertificateChain", "validateCertificateName"] {
        let part = resource.part(&["tls", check]);
        if matches!(part.is_true(), Some(Ok(false))) {
            plan.open(
                &part.at,
                format!("the backend {wanted:?} is not verified; Keyward always does"),
                "name the authority that vouches for it: ca-file in its [[route]]",
            );
        }
    }
    let route = url(plan, resource, &wanted)?;
    let credentials = resource.part(&["credentials"]);
    if credentials.is_none() {
        return Ok(());
    }
    let Some(route) = route else {
        plan.open(
            &credentials.at,
            format!("the credentials of {wanted:?} are left out with it"),
            SOLVE,
        );
        return Ok(());
    };
    for (header, part) in credentials.part("header").parts() {
        match part.texts() {
            Some(Ok(texts)) => {
                for (index, text) in texts.iter().enumerate() {
                    let index = Some(index).filter(|_| {
                        texts.len() > 1
                            || part.value().is_some_and(|value| {
                                value.is_ok_and(|known| known.value.is_array())
                            })
                    });
                    attached(plan, &route, &wanted, &header, None, text, &part, index)?;
                }
            }
            Some(Err(unknown)) => plan.open(
                &part.at,
                format!("what the header {header:?} holds is not known: {unknown}"),
                SOLVE,
            ),
            None => {}
        }
    }
    let authorization = credentials.part("authorization");
    if !authorization.is_none() {
        let parameter = authorization.part("parameter");
        let scheme = authorization.part("scheme").text();
        match (scheme, parameter.text()) {
            (Some(Ok(scheme)), Some(Ok(text))) => {
                let scheme = Some(scheme.text.as_str());
                attached(
                    plan,
                    &route,
                    &wanted,
                    "authorization",
                    scheme,
                    &text,
                    &parameter,
                    None,
                )?;
            }
            _ => plan.open(
                &authorization.at,
                "its scheme or its parameter is not known",
                SOLVE,
            ),
        }
    }
    for (name, part) in credentials.part("query").parts() {
        plan.open(
            &part.at,
            format!("the backend {wanted:?} gets a credential in the query parameter {name:?}"),
            "values are attached to headers only: URLs end up in logs; ask the backend for a header",
        );
    }
    for member in ["certificate", "certificateIds"] {
        let part = credentials.part(member);
        if !part.is_none() {
            plan.open(
                &part.at,
                format!("the backend {wanted:?} is called with a client certificate"),
                "a secret of kind certificate holds it; which route uses it is for a grant to say",
            );
        }
    }
    Ok(())
}

/// The route of a backend, if its URL can be one.
fn url(
    plan: &mut Plan,
    resource: &Resource,
    wanted: &str,
) -> Result<Option<keyward::names::RouteName>, NameError> {
    let part = resource.part(&["url"]);
    let text = match part.text() {
        Some(Ok(text)) => text,
        Some(Err(unknown)) => {
            plan.open(
                &part.at,
                format!("the URL of {wanted:?} is not known: {unknown}"),
                SOLVE,
            );
            return Ok(None);
        }
        None => {
            plan.open(
                &part.at,
                format!("the backend {wanted:?} has no URL"),
                "write its [[route]] by hand",
            );
            return Ok(None);
        }
    };
    let written = text.text.trim_end_matches('/');
    let why = if text.secure {
        Some("a secure parameter is in it".to_owned())
    } else if KeyVaultReference::is_meant_by(written) {
        Some("a reference can't be a URL".to_owned())
    } else if let Some(place) = places(written).next() {
        match plan.secret_of(place.name) {
            Some(_) => Some(format!(
                "the named value {:?} in it is a secret",
                place.name
            )),
            None if !written.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some("it has other characters than visible ASCII".to_owned())
            }
            None => None,
        }
    } else {
        let probe = keyward::names::RouteName::parse("probe")?;
        Route::new(probe, written)
            .err()
            .map(|error| error.to_string())
    };
    if let Some(why) = why {
        // The URL may have a key in it.
        plan.open(
            &part.at,
            format!("the URL of {wanted:?} can't be a route's: {why}"),
            "write its [[route]] by hand",
        );
        return Ok(None);
    }
    let name = plan.route_name(wanted)?;
    plan.routes.push(RoutePlan {
        name: name.clone(),
        url: written.to_owned(),
    });
    Ok(Some(name))
}

/// A header that the backend gets: a named value's secret, or a text that stands in
/// the file.
#[expect(clippy::too_many_arguments, reason = "all that a header is")]
fn attached(
    plan: &mut Plan,
    route: &keyward::names::RouteName,
    backend: &str,
    header: &str,
    scheme: Option<&str>,
    text: &Text,
    part: &Part<'_>,
    index: Option<usize>,
) -> Result<(), NameError> {
    // What a grant could not say.
    let name_of_one = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if header.is_empty() || header.len() > 64 || !header.chars().all(name_of_one) {
        plan.open(
            &part.at,
            format!("the backend {backend:?} has a header that is none"),
            "leave it out",
        );
        return Ok(());
    }
    let before = scheme
        .map(|scheme| format!("{scheme} "))
        .unwrap_or_default();
    let found: Vec<_> = places(&text.text).collect();
    let why = one_line(&format!(
        "the backend {backend} is sent it in the header {header}"
    ));
    let (name, template) = match found.as_slice() {
        [place] => {
            let Some(secret) = plan.secret_of(place.name).cloned() else {
                if whole(&text.text).is_some() || guess::secret(header, &text.text).is_none() {
                    plan.open(
                        &part.at,
                        format!("the header {header:?} of {backend:?} is the named value {:?}, which is no secret of this file", place.name),
                        "have a policy set it: set-header, or a grant once it is a secret",
                    );
                }
                return Ok(());
            };
            // The use says more than the name.
            if let Some(known) = plan.secrets.iter_mut().find(|known| known.name == secret)
                && known.kind == "api-key"
            {
                known.why = why;
            }
            let around =
                |range: std::ops::Range<usize>| text.text.get(range).unwrap_or_default().to_owned();
            let rest = around(place.span.end..text.text.len());
            (
                secret,
                format!("{before}{}{{secret}}{rest}", around(0..place.span.start)),
            )
        }
        [] => {
            let (kind, note) = match scheme.map(str::to_ascii_lowercase).as_deref() {
                Some("basic") => (
                    "basic",
                    "the value is user:password; what stands there is its base64",
                ),
                _ => (
                    "api-key",
                    "whoever could read the file has it: import it from there, and then rotate it",
                ),
            };
            let name = plan.secret_name(&format!("{route}-{header}"))?;
            let value = match text.as_written && kind == "api-key" {
                true => SecretValue::InTheFile {
                    path: super::plan::jq(&part.at),
                    index,
                },
                false => SecretValue::ByHand,
            };
            plan.open(
                &part.at,
                format!("the header {header:?} of {backend:?} stands in the file in clear"),
                note,
            );
            plan.secrets.push(SecretPlan {
                name: name.clone(),
                kind,
                why,
                value,
            });
            (name, format!("{before}{{secret}}"))
        }
        _ => {
            plan.open(
                &part.at,
                format!("the header {header:?} of {backend:?} is made of several named values"),
                "one secret stands in a header: make one secret of them",
            );
            return Ok(());
        }
    };
    if template.len() > 256 || !template.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        plan.open(&part.at, format!("what stands around the value in the header {header:?} of {backend:?} can't stand in a grant"), "a template is fixed text of visible ASCII around one {secret}");
        return Ok(());
    }
    plan.grants.push(GrantPlan {
        route: route.clone(),
        secret: name,
        header: header.to_ascii_lowercase(),
        template,
    });
    Ok(())
}

/// The service itself: what of it is about secrets.
fn service(plan: &mut Plan, resource: &Resource) {
    let hosts = resource.part(&["hostnameConfigurations"]);
    let own = match hosts.value() {
        Some(Ok(known)) => known.value.as_array().is_some_and(|hosts| {
            hosts
                .iter()
                .any(|host| super::json::given(host, "keyVaultId").is_some())
        }),
        _ => false,
    };
    if own {
        plan.open(
            &hosts.at,
            "the service has names of its own with certificates of a key vault",
            "clients' TLS is configured in [gateway.tls] of keyward.toml",
        );
    }
}

/// A document: which named values it uses. Its text is not taken over.
fn policy(plan: &mut Plan, resource: &Resource) {
    let part = resource.part(&["value"]);
    let Some(Ok(text)) = part.text() else {
        plan.open(
            &part.at,
            "a policy document that is elsewhere, or not known",
            "get its text, and check it: keyward config check",
        );
        return;
    };
    let mut names: Vec<&str> = places(&text.text)
        .map(|place| place.name)
        .filter(|name| name.len() <= 64)
        .collect();
    names.sort_unstable();
    names.dedup();
    let secrets: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| plan.secret_of(name).is_some())
        .collect();
    let mut what = format!("a policy document of {} bytes", text.text.len());
    if !names.is_empty() {
        what.push_str(&format!(", which uses {}", names.join(", ")));
    }
    let help = match secrets.as_slice() {
        [] => "save it as a document of a pipeline, and see what of it is understood: keyward config check".to_owned(),
        secrets => format!(
            "documents can't read secrets: grant {} to a policy that attaches or signs, and name that in the document",
            secrets.join(", ")
        ),
    };
    plan.open(&part.at, what, help);
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    lengths.eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
