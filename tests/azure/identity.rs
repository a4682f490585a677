//! Tokens of each platform, whose identity they are, and what is documented to go
//! wrong.

use keyward::sources::key_vault::KeyVaultSettings;
use keyward::sources::managed_identity::{Identity, Platform, Surroundings};
use keyward::sources::{IdentityError, Source as _, SourceError};
use keyward_tests::key_vault::{
    Assigned, Azure, FEDERATED_TOKEN, IDENTITY_HEADER, Place, TENANT, WORKLOAD_CLIENT,
};

use crate::support::{machine, vault, vault_with, version};

const CLIENT: &str = "aaaaaaaa-0000-1111-2222-333333333333";
const OBJECT: &str = "bbbbbbbb-0000-1111-2222-333333333333";
const RESOURCE_ID: &str = "/subscriptions/0/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader";

fn azure() -> Azure {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("a", "sk_live_0123");
        state.assigned.push(Assigned {
            client_id: CLIENT.to_owned(),
            object_id: OBJECT.to_owned(),
            resource_id: RESOURCE_ID.to_owned(),
        });
    });
    azure
}

async fn fetch(
    azure: &Azure,
    surroundings: &Surroundings,
    change: impl Fn(&mut KeyVaultSettings),
) -> Result<(), IdentityError> {
    let mut settings = azure.settings();
    change(&mut settings);
    let vault = vault_with(&settings, surroundings, &azure.names().dialer());
    match version(&vault, "a").await {
        Ok(_) => Ok(()),
        Err(SourceError::Identity(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn token_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What a request says of whose token it wants: all that stands after version and
/// resource.
fn named(target: &str) -> Option<&str> {
    let (_, parameters) = target.split_once("api-version=").unwrap();
    let mut parameters = parameters.splitn(3, '&').skip(1);
    assert!(
        parameters.next().unwrap().starts_with("resource="),
        "{target}"
    );
    parameters.next()
}

#[tokio::test]
async fn each_platform_hands_out_tokens_for_each_way_to_name_an_identity() {
    let azure = azure();
    // Only a resource id is called differently by each of them.
    let (client, object) = (format!("client_id={CLIENT}"), format!("object_id={OBJECT}"));
    let resource: String = url::form_urlencoded::byte_serialize(RESOURCE_ID.as_bytes()).collect();
    let at_imds = format!("msi_res_id={resource}");
    let at_app_service = format!("mi_res_id={resource}");
    for (identity, of_imds, of_app_service) in [
        (Identity::System, None, None),
        (
            Identity::ClientId(CLIENT.to_owned()),
            Some(&client),
            Some(&client),
        ),
        (
            Identity::ObjectId(OBJECT.to_owned()),
            Some(&object),
            Some(&object),
        ),
        (
            Identity::ResourceId(RESOURCE_ID.to_owned()),
            Some(&at_imds),
            Some(&at_app_service),
        ),
    ] {
        let who = |settings: &mut KeyVaultSettings| settings.identity = identity.clone();
        assert_eq!(fetch(&azure, &machine(), who).await, Ok(()), "{identity:?}");
        let seen = azure.seen_at(Place::Imds).pop().unwrap();
        assert_eq!(named(&seen.target), of_imds.map(String::as_str));
        assert_eq!(seen.headers.get("metadata").unwrap(), "true");
        assert_eq!(
            fetch(&azure, &azure.app_service(), who).await,
            Ok(()),
            "{identity:?}"
        );
        let seen = azure.seen_at(Place::AppService).pop().unwrap();
        assert_eq!(named(&seen.target), of_app_service.map(String::as_str));
        assert_eq!(
            seen.headers.get("x-identity-header").unwrap(),
            IDENTITY_HEADER
        );
    }
}

#[tokio::test]
async fn workload_identity_logs_in_at_the_pinned_authority() {
    let azure = azure();
    let file = token_file(&format!("{FEDERATED_TOKEN}\n"));
    let surroundings = azure.workload(file.path());
    assert_eq!(fetch(&azure, &surroundings, |_| ()).await, Ok(()));
    let seen = azure.seen_at(Place::Authority);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].host, "login.microsoftonline.com");
    assert_eq!(seen[0].target, format!("POST /{TENANT}/oauth2/v2.0/token"));
    // By configuration alone, with nothing in the environment.
    let by_hand = |settings: &mut KeyVaultSettings| {
        settings.platform = Platform::Workload;
        settings.identity = Identity::ClientId(WORKLOAD_CLIENT.to_owned());
        settings.token_file = Some(file.path().to_owned());
    };
    assert_eq!(fetch(&azure, &machine(), by_hand).await, Ok(()));
}

#[tokio::test]
async fn what_the_environment_says_does_not_move_a_pin() {
    let azure = azure();
    let file = token_file(FEDERATED_TOKEN);
    let path = file.path().to_str().unwrap().to_owned();
    for (variable, value) in [
        ("AZURE_AUTHORITY_HOST", "https://login.evil.example/"),
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000000"),
        ("AZURE_CLIENT_ID", "not-an-id"),
    ] {
        let told = Surroundings::from_lookup(|name| match name {
            name if name == variable => Some(value.to_owned()),
            "AZURE_TENANT_ID" => Some(TENANT.to_owned()),
            "AZURE_CLIENT_ID" => Some(WORKLOAD_CLIENT.to_owned()),
            "AZURE_FEDERATED_TOKEN_FILE" => Some(path.clone()),
            _ => None,
        });
        assert_eq!(
            fetch(&azure, &told, |_| ()).await,
            Err(IdentityError::Environment { variable })
        );
    }
    // An identity endpoint is on this machine or link, whatever the environment says.
    let elsewhere = Surroundings::from_lookup(|name| match name {
        "IDENTITY_ENDPOINT" => Some("http://10.1.2.3/msi/token".to_owned()),
        "IDENTITY_HEADER" => Some(IDENTITY_HEADER.to_owned()),
        _ => None,
    });
    assert_eq!(
        fetch(&azure, &elsewhere, |_| ()).await,
        Err(IdentityError::Environment {
            variable: "IDENTITY_ENDPOINT"
        })
    );
    assert!(azure.seen_at(Place::Authority).is_empty());
}

#[tokio::test]
async fn an_identity_that_is_not_there_is_told_apart_from_several() {
    let azure = azure();
    let stranger = |settings: &mut KeyVaultSettings| {
        settings.identity = Identity::ClientId("cccccccc-0000-1111-2222-333333333333".to_owned());
    };
    let missing = Err(IdentityError::NotAssigned);
    assert_eq!(fetch(&azure, &machine(), stranger).await, missing);
    assert_eq!(fetch(&azure, &azure.app_service(), stranger).await, missing);
    // The id of the principal where the application's is wanted.
    let mixed_up = |settings: &mut KeyVaultSettings| {
        settings.identity = Identity::ClientId(OBJECT.to_owned());
    };
    assert_eq!(fetch(&azure, &machine(), mixed_up).await, missing);
    azure.change(|state| {
        state.has_system_identity = false;
        let mut second = state.assigned[0].clone();
        second.client_id = "dddddddd-0000-1111-2222-333333333333".to_owned();
        state.assigned.push(second);
    });
    let ambiguous = fetch(&azure, &machine(), |_| ()).await;
    assert_eq!(ambiguous, Err(IdentityError::Ambiguous));
    azure.change(|state| state.assigned.clear());
    assert_eq!(fetch(&azure, &machine(), |_| ()).await, missing);
}

#[tokio::test]
async fn workload_identity_that_is_not_trusted_says_which_part_is_not() {
    let azure = azure();
    let with = |file: &tempfile::NamedTempFile| azure.workload(file.path());
    let wrong = token_file("eyJhbGciOiJub25lIn0.eyJzdWIiOiJvdGhlciJ9.c2ln");
    let entra = |code| Err(IdentityError::Entra { code });
    assert_eq!(fetch(&azure, &with(&wrong), |_| ()).await, entra(700_213));
    let file = token_file(FEDERATED_TOKEN);
    let stranger = |settings: &mut KeyVaultSettings| {
        settings.identity = Identity::ClientId(CLIENT.to_owned());
    };
    assert_eq!(fetch(&azure, &with(&file), stranger).await, entra(700_016));
    for text in ["", "two\nlines", "not a token", &"x".repeat(20 * 1024)] {
        let file = token_file(text);
        let error = fetch(&azure, &with(&file), |_| ()).await;
        assert_eq!(error, Err(IdentityError::CredentialFile));
    }
    let gone = std::path::Path::new("/nowhere/token");
    let error = fetch(&azure, &azure.workload(gone), |_| ()).await;
    assert_eq!(error, Err(IdentityError::CredentialFile));
}

#[tokio::test]
async fn a_machine_without_an_endpoint_says_so() {
    let azure = azure();
    // Nobody listens at the address of the metadata service.
    let names = keyward_tests::key_vault::Names::default().with(".vault.azure.net", azure.secure());
    let vault = vault_with(&azure.settings(), &machine(), &names.dialer());
    let error = version(&vault, "a").await.unwrap_err();
    assert_eq!(error, SourceError::Identity(IdentityError::NoEndpoint));
    assert!(error.advice().contains("platform"), "{}", error.advice());
}

#[tokio::test]
async fn an_app_with_the_wrong_header_is_told_which_variable_it_is() {
    let azure = azure();
    let endpoint = format!("http://{}/msi/token", azure.plain());
    let wrong = Surroundings::from_lookup(|name| match name {
        "IDENTITY_ENDPOINT" => Some(endpoint.clone()),
        "IDENTITY_HEADER" => Some("another".to_owned()),
        _ => None,
    });
    let variable = "IDENTITY_HEADER";
    let error = fetch(&azure, &wrong, |_| ()).await;
    assert_eq!(error, Err(IdentityError::Environment { variable }));
}

#[tokio::test]
async fn a_token_for_something_else_is_not_used() {
    let azure = azure();
    azure.change(|state| state.says_resource = Some("https://graph.microsoft.com".to_owned()));
    let error = fetch(&azure, &machine(), |_| ()).await;
    assert_eq!(error, Err(IdentityError::WrongToken));
    assert!(
        azure
            .seen_at(Place::Vault)
            .iter()
            .all(|seen| !seen.has_credential())
    );
}

/// Takes as long as the documented waits do.
#[tokio::test]
async fn an_endpoint_that_is_not_well_is_asked_again_as_documented() {
    let again = |status| async move {
        let azure = azure();
        azure.change(|state| {
            let faults = [(status, String::new()), (status, String::new())];
            state.identity_faults.extend(faults);
        });
        assert_eq!(fetch(&azure, &machine(), |_| ()).await, Ok(()), "{status}");
        assert_eq!(azure.seen_at(Place::Imds).len(), 3, "{status}");
    };
    let given_up = async {
        let azure = azure();
        let faults = (0..20).map(|_| (503, String::new()));
        azure.change(|state| state.identity_faults.extend(faults));
        // Two thirds of it are for tokens, and the second wait would take too long.
        let hurried = |settings: &mut KeyVaultSettings| {
            settings.timeout = std::time::Duration::from_secs(6);
        };
        let error = fetch(&azure, &machine(), hurried).await;
        assert_eq!(error, Err(IdentityError::Failing { status: 503 }));
        assert_eq!(azure.seen_at(Place::Imds).len(), 2);
    };
    let asked_again = futures_util::future::join_all([404, 410, 429, 500, 503].map(again));
    futures_util::future::join(asked_again, given_up).await;
}

#[tokio::test]
async fn what_does_not_pass_by_itself_is_asked_once() {
    let azure = azure();
    azure.change(|state| state.identity_faults.push_back((400, String::new())));
    let error = fetch(&azure, &machine(), |_| ()).await;
    assert_eq!(error, Err(IdentityError::NotAssigned));
    assert_eq!(azure.seen_at(Place::Imds).len(), 1);
}

#[tokio::test]
async fn many_that_fetch_at_once_ask_for_one_token() {
    let azure = azure();
    let vault = vault(&azure);
    let fetches = (0..20).map(|_| vault.fetch("a"));
    for fetched in futures_util::future::join_all(fetches).await {
        assert!(fetched.is_ok());
    }
    assert_eq!(azure.seen_at(Place::Imds).len(), 1);
    let without = |seen: &keyward_tests::key_vault::Seen| !seen.has_credential();
    let seen = azure.seen_at(Place::Vault);
    assert_eq!(seen.iter().filter(|seen| without(seen)).count(), 1);
}

#[tokio::test]
async fn a_token_that_ends_soon_is_replaced_before_it_does() {
    let azure = azure();
    azure.change(|state| state.token_life = 2);
    let vault = vault(&azure);
    vault.fetch("a").await.unwrap();
    vault.fetch("a").await.unwrap();
    assert_eq!(
        azure.seen_at(Place::Imds).len(),
        1,
        "used for half of its life"
    );
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    vault.fetch("a").await.unwrap();
    assert_eq!(azure.seen_at(Place::Imds).len(), 2);
}

#[tokio::test]
async fn numbers_are_texts_or_numbers_as_an_endpoint_writes_them() {
    for plain_numbers in [false, true] {
        let azure = azure();
        azure.change(|state| {
            state.plain_numbers = plain_numbers;
            state.token_life = 2;
        });
        for surroundings in [machine(), azure.app_service()] {
            let vault = vault_with(&azure.settings(), &surroundings, &azure.names().dialer());
            vault.fetch("a").await.unwrap();
            // The life was read: after half of it another token is had.
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            vault.fetch("a").await.unwrap();
        }
        for place in [Place::Imds, Place::AppService] {
            assert_eq!(azure.seen_at(place).len(), 2, "{plain_numbers}");
        }
    }
}
