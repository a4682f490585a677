//! Templates as they are exported, built and listed, and such as nobody should
//! write: what becomes of them, and that no value in them comes out again.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What stands for a secret in templates here.
const CANARY: &str = "Canary-7f3Kq9ZpLx2Vb8Wd";

fn read_with(file: &Value, parameters: Option<&Value>) -> Plan {
    let steps = evaluate::steps();
    let parameters = parameters.map_or_else(BTreeMap::new, |file| {
        template::parameters(file, &steps).unwrap()
    });
    let found = template::resources(file, &parameters, &steps, Some(Cloud::Public)).unwrap();
    resources::plan(&found).unwrap()
}

fn read(file: &Value) -> Plan {
    read_with(file, None)
}

/// All that is ever written of a plan.
fn all(plan: &Plan) -> String {
    let file = std::path::Path::new("template.json");
    let json = write::json(plan, file).unwrap();
    format!("{}\n{json:#}", write::shown(plan, file))
}

fn file(plan: &Plan, wanted: &str) -> String {
    let files = write::files(plan, std::path::Path::new("template.json"));
    let found = files.into_iter().find(|(name, _)| *name == wanted);
    found.unwrap().1
}

fn template(resources: Value) -> Value {
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": { "service_shop_name": { "defaultValue": "shop", "type": "String" } },
        "variables": {},
        "resources": resources,
    })
}

fn named(name: &str, properties: Value) -> Value {
    json!({
        "type": "Microsoft.ApiManagement/service/namedValues",
        "apiVersion": "2023-05-01-preview",
        "name": format!("[concat(parameters('service_shop_name'), '/{name}')]"),
        "dependsOn": ["[resourceId('Microsoft.ApiManagement/service', parameters('service_shop_name'))]"],
        "properties": properties,
    })
}

fn opened(plan: &Plan) -> Vec<(&str, &str)> {
    plan.open
        .iter()
        .map(|open| (open.at.as_str(), open.what.as_str()))
        .collect()
}

#[test]
fn an_exported_template_becomes_a_gateway() {
    let plan = read(&template(json!([
        {
            "type": "Microsoft.ApiManagement/service",
            "name": "[parameters('service_shop_name')]",
            "properties": { "publisherEmail": "x@example.com" },
        },
        named("backend-url", json!({ "displayName": "Backend-Url", "value": "https://billing.example.com", "secret": false })),
        named("stripe", json!({
            "displayName": "Stripe-Key",
            "secret": true,
            "tags": ["payments", "No Tag"],
            "keyVault": { "secretIdentifier": "https://shop.vault.azure.net/secrets/stripe-key" },
        })),
        named("partner", json!({
            "displayName": "Partner",
            "secret": true,
            "keyVault": {
                "secretIdentifier": "https://shop.vault.azure.net/secrets/partner",
                "identityClientId": "11111111-2222-3333-4444-555555555555",
            },
        })),
        named("hidden", json!({ "displayName": "Webhook-Signing", "secret": true })),
        {
            "type": "Microsoft.ApiManagement/service/backends",
            "name": "[concat(parameters('service_shop_name'), '/Billing')]",
            "properties": {
                "url": "https://billing.example.com/v1/",
                "protocol": "http",
                "credentials": { "query": {}, "header": { "X-Api-Key": ["{{Stripe-Key}}"] } },
            },
        },
        {
            "type": "Microsoft.ApiManagement/service/certificates",
            "name": "[concat(parameters('service_shop_name'), '/mtls')]",
            "properties": { "keyVault": { "secretIdentifier": "https://shop.vault.azure.net/secrets/mtls" } },
        },
        { "type": "Microsoft.ApiManagement/service/apis", "name": "x", "properties": {} },
    ])));
    assert_eq!(
        file(&plan, "keyward.toml"),
        r#"# To be added to keyward.toml, once it has been read.

[sources.shop]
kind = "key-vault"
vault = "https://shop.vault.azure.net"
# tenant = "…"  # that the vault trusts: az account show --query tenantId

[sources.shop-2]
kind = "key-vault"
vault = "https://shop.vault.azure.net"
# tenant = "…"  # that the vault trusts: az account show --query tenantId
client-id = "11111111-2222-3333-4444-555555555555"

[[route]]
name = "billing"
url = "https://billing.example.com/v1"
"#
    );
    let commands = file(&plan, "import.sh");
    for command in [
        "\n# api-key because the backend Billing is sent it in the header X-Api-Key\nkeyward secret set stripe-key --kind api-key --from shop:stripe-key\n",
        "\nkeyward secret set partner --kind api-key --from shop-2:partner\n",
        "\nkeyward secret set mtls --kind certificate --from shop:mtls\n",
        "--named-value-id=hidden --query value --output tsv | keyward secret set webhook-signing --kind hmac-key\n",
        "\nkeyward value set Backend-Url --plain=https://billing.example.com\n",
        "\nkeyward value set Stripe-Key --secret stripe-key --tag payments\n",
    ] {
        assert!(commands.contains(command), "{command}\n{commands}");
    }
    assert!(file(&plan, "grants.toml").contains("\n# secret = \"stripe-key\"\n# use = \"attach\"\n# header = \"x-api-key\"\n# template = \"{secret}\"\n"));
    assert_eq!(plan.not_imported.get("apis"), Some(&1));
    assert_eq!(
        write::summary(&plan),
        "2 sources, 1 route, 4 secrets, 4 named values; 1 thing needs a person"
    );
}

#[test]
fn what_is_written_can_be_read() {
    let plan = read(&template(json!([
        named("a", json!({ "displayName": "A", "value": "it's \"quoted\" $HOME `x` \\ \u{202e}" })),
        named("b", json!({ "displayName": "B", "keyVault": { "secretIdentifier": "https://shop.vault.azure.net/secrets/b" } })),
        { "type": "Microsoft.ApiManagement/service/backends", "name": "x/evil\"\n[[grant]]\n",
          "properties": { "url": "https://x.example/", "credentials": { "header": { "x-key": ["a\"{{B}}\\"] } } } },
    ])));
    let configuration: toml::Table = file(&plan, "keyward.toml").parse().unwrap();
    assert_eq!(
        configuration["sources"]["shop"]["kind"].as_str(),
        Some("key-vault")
    );
    let grants = file(&plan, "grants.toml");
    assert!(grants.parse::<toml::Table>().unwrap().is_empty());
    let granted: String = grants
        .lines()
        .skip(2)
        .map(|line| format!("{}\n", line.trim_start_matches("# ")))
        .collect();
    let granted: toml::Table = granted.parse().unwrap();
    let grant = &granted["grant"].as_array().unwrap()[0];
    assert_eq!(grant["template"].as_str(), Some("a\"{secret}\\"));
    let script = file(&plan, "import.sh");
    let words = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            &format!("keyward() {{ printf '<%s>' \"$@\"; echo; }}\n{script}"),
        ])
        .output()
        .unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(
        words.contains("<value><set><A><--plain=it's \"quoted\" $HOME `x` \\ \u{202e}>\n"),
        "{words}"
    );
}

#[test]
fn what_bicep_builds_is_read() {
    let plan = read_with(
        &json!({
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "languageVersion": "2.0",
            "contentVersion": "1.0.0.0",
            "metadata": { "_generator": { "name": "bicep" } },
            "parameters": { "apim": { "type": "string" }, "vault": { "type": "string" }, "names": { "type": "array" } },
            "variables": { "base": "[format('https://{0}{1}/secrets', parameters('vault'), environment().suffixes.keyvaultDns)]" },
            "resources": {
                "apim": { "existing": true, "type": "Microsoft.ApiManagement/service", "name": "[parameters('apim')]" },
                "values": {
                    "copy": { "name": "values", "count": "[length(parameters('names'))]" },
                    "type": "Microsoft.ApiManagement/service/namedValues",
                    "name": "[format('{0}/{1}', parameters('apim'), parameters('names')[copyIndex()])]",
                    "properties": {
                        "displayName": "[parameters('names')[copyIndex()]]",
                        "secret": true,
                        "keyVault": { "secretIdentifier": "[format('{0}/{1}', variables('base'), parameters('names')[copyIndex()])]" },
                    },
                },
                "module": {
                    "type": "Microsoft.Resources/deployments",
                    "name": "inner",
                    "properties": {
                        "expressionEvaluationOptions": { "scope": "inner" },
                        "parameters": { "service": { "value": "[parameters('apim')]" } },
                        "template": {
                            "parameters": { "service": { "type": "string" } },
                            "resources": [{
                                "type": "Microsoft.ApiManagement/service/backends",
                                "name": "[format('{0}/{1}', parameters('service'), 'orders')]",
                                "properties": { "url": "https://orders.example.com", "protocol": "http" },
                            }],
                        },
                    },
                },
                "off": { "condition": false, "type": "Microsoft.ApiManagement/service/backends", "name": "x/off", "properties": {} },
            },
        }),
        Some(&json!({ "parameters": {
            "apim": { "value": "shop" },
            "vault": { "value": "shop-kv" },
            "names": { "value": ["one", "two"] },
        } })),
    );
    assert_eq!(opened(&plan), []);
    let origins: Vec<String> = plan
        .secrets
        .iter()
        .map(|secret| match &secret.value {
            plan::SecretValue::From(origin) => origin.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(origins, ["shop-kv:one", "shop-kv:two"]);
    assert_eq!(plan.routes[0].name.as_str(), "orders");
}

#[test]
fn nested_children_old_properties_and_lists_are_read() {
    let plan = read(&template(json!([{
        "type": "Microsoft.ApiManagement/service",
        "name": "shop",
        "resources": [
            { "type": "properties", "name": "old", "properties": { "displayName": "Old", "value": "text" } },
            { "type": "Microsoft.ApiManagement/service/namedValues", "name": "shop/new",
              "properties": { "displayName": "New", "value": "text" } },
        ],
    }])));
    assert_eq!(plan.values.len(), 2);
    // `az apim nv list`, and the REST interface.
    for list in [
        json!([{ "type": "Microsoft.ApiManagement/service/namedValues", "name": "a", "displayName": "A",
                 "secret": true, "value": null, "keyVault": null, "tags": null },
               { "type": "Microsoft.ApiManagement/service/namedValues", "name": "b", "displayName": "B",
                 "secret": false, "value": "[text]" }]),
        json!({ "value": [{ "id": "/x", "type": "Microsoft.ApiManagement/service/namedValues", "name": "a",
                            "properties": { "displayName": "A", "secret": true } },
                          { "type": "Microsoft.ApiManagement/service/namedValues", "name": "b",
                            "properties": { "displayName": "B", "value": "[text]" } }], "count": 2 }),
    ] {
        let plan = read(&list);
        assert_eq!(plan.values.len(), 2);
        assert!(
            matches!(&plan.values[1].stands_for, plan::StandsFor::Plain(text) if text == "[text]")
        );
    }
}

/// Templates with a value in clear in each place that can have one.
fn with_values_in_clear(value: &str) -> Vec<Value> {
    let backend = |properties: Value| {
        template(
            json!([{ "type": "Microsoft.ApiManagement/service/backends", "name": "shop/b", "properties": properties }]),
        )
    };
    let mut secure = template(json!([
        named(
            "a",
            json!({ "displayName": "A", "value": "[parameters('key')]" })
        ),
        named(
            "b",
            json!({ "displayName": "B", "value": "[concat('Bearer ', parameters('key'))]", "secret": true })
        ),
        named(
            "c",
            json!({ "displayName": "C", "value": "[variables('made')]" })
        ),
    ]));
    secure["parameters"]["key"] = json!({ "type": "securestring", "defaultValue": value });
    secure["variables"]["made"] = json!("[toLower(concat(parameters('key'), 'x'))]");
    vec![
        template(json!([named(
            "a",
            json!({ "displayName": "A", "value": value, "secret": true })
        )])),
        template(json!([named(
            "a",
            json!({ "displayName": "Api-Key", "value": value })
        )])),
        template(json!([named(
            "a",
            json!({ "displayName": "A", "value": format!("AccountName=x;AccountKey={value}") })
        )])),
        template(json!([named(
            "a",
            json!({ "displayName": value.replace(' ', "!") + "!", "value": "x" })
        )])),
        secure,
        backend(
            json!({ "url": "https://x.example", "credentials": { "header": { "x-key": [value, value] } } }),
        ),
        backend(
            json!({ "url": "https://x.example", "credentials": { "query": { "code": [value] } } }),
        ),
        backend(
            json!({ "url": "https://x.example", "credentials": { "authorization": { "scheme": "Basic", "parameter": value } } }),
        ),
        backend(json!({ "url": format!("https://x.example/?code={value}") })),
        backend(json!({ "url": format!("https://user:{value}@x.example/") })),
        template(
            json!([{ "type": "Microsoft.ApiManagement/service/certificates", "name": "shop/c",
                          "properties": { "data": value, "password": value } }]),
        ),
        template(
            json!([{ "type": "Microsoft.ApiManagement/service/loggers", "name": "shop/l",
                          "properties": { "credentials": { "connectionString": value } } }]),
        ),
        template(
            json!([{ "type": "Microsoft.ApiManagement/service/authorizationServers", "name": "shop/s",
                          "properties": { "clientSecret": value } }]),
        ),
        template(
            json!([{ "type": "Microsoft.ApiManagement/service/policies", "name": "shop/policy",
                          "properties": { "value": format!("<policies>{value}</policies>") } }]),
        ),
        template(json!([named(
            "a",
            json!({ "displayName": "A", "keyVault": { "secretIdentifier": format!("https://u:{value}@x.vault.azure.net/secrets/a") } })
        )])),
        template(json!([named(
            "a",
            json!({ "displayName": "A", "value": format!("[concat('{value}', reference('x').y)]"), "secret": true })
        )])),
        template(json!([named(
            "a",
            json!({ "displayName": "A", "value": format!("[concat('{value}'"), "secret": true })
        )])),
    ]
}

#[test]
fn no_value_that_stands_in_a_template_is_written() {
    for file in with_values_in_clear(CANARY) {
        let plan = read(&file);
        let written = all(&plan);
        assert!(
            !written.to_lowercase().contains(&CANARY.to_lowercase()),
            "{written}"
        );
        assert!(!plan.open.is_empty(), "{file}");
    }
}

#[test]
fn control_a_value_that_is_no_secret_is_written() {
    let plan = read(&template(json!([named(
        "a",
        json!({ "displayName": "A", "value": "plain text" })
    )])));
    assert!(all(&plan).contains("plain text"));
}

#[test]
fn a_value_in_clear_is_found_where_the_report_says() {
    let file = template(json!([
        named("a", json!({ "displayName": "Api-Key", "value": CANARY })),
        { "type": "Microsoft.ApiManagement/service/backends", "name": "shop/b", "properties": {
            "url": "https://x.example", "credentials": { "header": { "x-key": [CANARY] } } } },
    ]));
    let commands = self::file(&read(&file), "import.sh");
    assert!(commands.contains("jq -j .resources[0].properties.value template.json | keyward secret set api-key --kind api-key") || commands.contains("jq -j '.resources[0].properties.value' template.json | keyward secret set api-key --kind api-key"), "{commands}");
    assert!(commands.contains("jq -j '.resources[1].properties.credentials.header[\"x-key\"][0]' template.json | keyward secret set b-x-key --kind api-key"), "{commands}");
}

#[test]
fn what_is_not_known_is_reported_and_not_guessed() {
    let plan = read(&template(json!([
        named("a", json!({ "displayName": "A", "value": "[parameters('nobody')]" })),
        named("b", json!({ "displayName": "B", "keyVault": {
            "secretIdentifier": "[reference(resourceId('Microsoft.KeyVault/vaults', 'kv')).vaultUri]" } })),
        named("c", json!({ "displayName": "C", "keyVault": {
            "secretIdentifier": "https://shop.vault.azure.net/secrets/c",
            "identityClientId": "[reference('identity').clientId]" } })),
        named("d", json!({ "displayName": "D", "value": "@(context.RequestId)" })),
        named("e", json!({ "displayName": "E", "value": "@Microsoft.KeyVault(VaultName=shop;SecretName=e)" })),
        named("f", json!({ "displayName": "F", "value": "@Microsoft.KeyVault(SecretUri=http://x)" })),
        named("e2", json!({ "displayName": "E", "value": "again" })),
        { "type": "Microsoft.ApiManagement/service/backends", "name": "shop/b", "properties": {
            "url": "http://plain.example", "tls": { "validateCertificateChain": false } } },
        { "type": "Microsoft.Resources/deployments", "name": "d", "properties": { "templateLink": { "uri": "https://x" } } },
    ])));
    let said: Vec<(&str, &str)> = opened(&plan);
    let expected = [
        (".resources[8]", "its template is in another place"),
        (
            ".resources[0].properties.value",
            "the named value A is not known: there is no parameter \"nobody\"",
        ),
        (
            ".resources[1].properties.keyVault.secretIdentifier",
            "the identifier of the secret: reference() asks Azure",
        ),
        (
            ".resources[2].properties.keyVault.identityClientId",
            "which identity asks is not known: reference() asks Azure",
        ),
        (
            ".resources[3].properties.value",
            "the named value D is a policy expression",
        ),
        (
            ".resources[5].properties.value",
            "not a Key Vault reference: at byte 31: the URI has to start with https://",
        ),
        (
            ".resources[6].properties",
            "there is a named value E already",
        ),
        (
            ".resources[7].properties.tls.validateCertificateChain",
            "the backend \"b\" is not verified",
        ),
        (
            ".resources[7].properties.url",
            "the URL of \"b\" can't be a route's: http:// is for this machine only",
        ),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for ((at, what), (place, words)) in said.iter().zip(expected) {
        assert_eq!(*at, place);
        assert!(what.starts_with(words), "{what}");
    }
    let names: Vec<&str> = plan
        .values
        .iter()
        .map(|value| value.name.as_str())
        .collect();
    assert_eq!(names, ["C", "E"]);
    assert!(!file(&plan, "import.sh").contains("@Microsoft"));
}

#[test]
fn a_parameter_that_is_read_from_a_key_vault_is_a_reference() {
    let mut file = template(json!([named(
        "a",
        json!({ "displayName": "A", "value": "[parameters('key')]", "secret": true })
    )]));
    file["parameters"]["key"] = json!({ "type": "securestring" });
    let plan = read_with(
        &file,
        Some(&json!({ "parameters": { "key": { "reference": {
            "keyVault": { "id": "/subscriptions/x/resourceGroups/y/providers/Microsoft.KeyVault/vaults/shop" },
            "secretName": "stripe" } } } })),
    );
    assert!(
        matches!(&plan.secrets[0].value, plan::SecretValue::From(origin) if origin == "shop:stripe")
    );
}

#[test]
fn hostile_templates_end() {
    let value = || named("a", json!({ "displayName": "A", "value": "x" }));
    // Deployments in deployments.
    let mut deep = template(json!([value()]));
    for _ in 0..20 {
        deep = template(
            json!([{ "type": "Microsoft.Resources/deployments", "name": "d", "properties": { "template": deep } }]),
        );
    }
    let plan = read(&deep);
    assert!(plan.values.is_empty());
    assert!(plan.open[0].what.contains("within more than 8 others"));
    // Copies of copies.
    let mut copies = template(json!([value()]));
    for _ in 0..6 {
        copies = template(
            json!([{ "type": "Microsoft.Resources/deployments", "name": "d", "copy": { "count": 800 },
                                   "properties": { "template": copies } }]),
        );
    }
    assert!(
        read(&copies)
            .open
            .iter()
            .any(|open| open.what.contains("only 20000"))
    );
    let many = template(
        json!([{ "type": "Microsoft.ApiManagement/service/namedValues", "name": "a",
                                 "copy": { "count": 801 }, "properties": { "displayName": "A", "value": "x" } }]),
    );
    assert_eq!(
        read(&many).open[0].what,
        "how often it is copied is not known"
    );
    // As many as are looked at, all of one name.
    let same: Vec<Value> = (0..20_000)
        .map(|n| named("a", json!({ "displayName": format!("A{n}"), "keyVault": { "secretIdentifier": "https://shop.vault.azure.net/secrets/a" } })))
        .collect();
    assert_eq!(read(&template(Value::Array(same))).secrets.len(), 20_000);
    for odd in [
        json!({}),
        json!([1, "x", null, {}]),
        json!({ "resources": 1 }),
        json!({ "resources": [1, null, {}, { "type": 1 }, { "type": "Microsoft.ApiManagement/service/namedValues" }] }),
        json!({ "resources": [], "parameters": 1, "variables": [] }),
        json!({ "value": [[]] }),
    ] {
        let steps = evaluate::steps();
        let found = template::resources(&odd, &BTreeMap::new(), &steps, None);
        if let Ok(found) = found {
            resources::plan(&found).unwrap();
        }
    }
}

/// JSON of few levels with the words of templates in it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "type",
        "name",
        "properties",
        "resources",
        "displayName",
        "value",
        "secret",
        "keyVault",
        "secretIdentifier",
        "credentials",
        "header",
        "url",
        "copy",
        "count",
        "parameters",
        "variables",
        "template",
        "defaultValue",
        "Microsoft.ApiManagement/service/namedValues",
        "Microsoft.ApiManagement/service/backends",
        "Microsoft.Resources/deployments",
        "[parameters('name')]",
        "[variables('name')]",
        "[concat('a', 'b')]",
        "https://shop.vault.azure.net/secrets/a",
        "{{name}}",
        "[copyIndex()]",
        "@Microsoft.KeyVault(",
    ];
    let word = prop_oneof![
        proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        "\\PC{0,8}"
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(word.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever the file: it ends, and what it comes to is TOML and quoted words.
    #[test]
    fn any_json_becomes_a_plan_or_an_error(inner in any_json()) {
        let file = json!({ "parameters": inner, "variables": inner, "resources": [inner, {
            "type": "Microsoft.ApiManagement/service/namedValues", "name": "a", "properties": inner }, {
            "type": "Microsoft.ApiManagement/service/backends", "name": "a", "properties": inner }] });
        let plan = read(&file);
        prop_assert!(self::file(&plan, "keyward.toml").parse::<toml::Table>().is_ok());
        prop_assert!(self::file(&plan, "grants.toml").parse::<toml::Table>().is_ok());
        let escapes = all(&plan).contains('\u{1b}');
        prop_assert!(!escapes);
    }
}
