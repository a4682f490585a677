//! What an operator says of a vault, and how it is read.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use keyward_egress::source::{SourceProfile, SourceSetupError};
use keyward_egress::{Network, Roots};

use super::pins::Pins;
use crate::managed_identity::{Identity, IdentitySettings, Platform, is_guid};

/// How long a fetch may take, tokens and retries included, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most that an answer may be, in bytes: a value has 25 KiB at most (Microsoft,
/// "About Azure Key Vault secrets"), in JSON at worst six times as much.
const MAX_ANSWER: usize = 256 * 1024;

/// Microsoft's clouds: how vaults' hosts end, their authority, and the resource of
/// their tokens (Microsoft, "National clouds"; "About keys, secrets and
/// certificates", vault DNS suffixes).
const CLOUDS: [(&str, &str, &str); 4] = [
    (
        ".vault.azure.net",
        "https://login.microsoftonline.com",
        "https://vault.azure.net",
    ),
    (
        ".managedhsm.azure.net",
        "https://login.microsoftonline.com",
        "https://managedhsm.azure.net",
    ),
    (
        ".vault.azure.cn",
        "https://login.partner.microsoftonline.cn",
        "https://vault.azure.cn",
    ),
    (
        ".vault.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://vault.usgovcloudapi.net",
    ),
];

/// A vault, the identity that reads it, and all that is pinned of both.
#[derive(Clone, Debug)]
pub struct KeyVaultSettings {
    /// `https://NAME.vault.azure.net`, or any other `https://host[:port]`.
    pub vault: String,
    /// The tenant that the vault trusts: its GUID. `az account show --query tenantId`
    /// says it.
    pub tenant: String,
    /// The tenant's authority, `https://host[:port]`. Known for Microsoft's clouds.
    pub authority: Option<String>,
    /// What tokens for the vault are for. Known for Microsoft's clouds.
    pub resource: Option<String>,
    /// Whose tokens.
    pub identity: Identity,
    /// Who hands them out.
    pub platform: Platform,
    /// Where IMDS answers, if not at `http://169.254.169.254`: an address of this
    /// machine or link.
    pub identity_endpoint: Option<String>,
    /// The federated token's file, if not the one that the platform names.
    pub token_file: Option<PathBuf>,
    /// Where the vault's name may lead; public addresses if not said. A vault with a
    /// private endpoint needs its network here.
    pub networks: Option<Vec<Network>>,
    /// Who vouches for the vault and the authority.
    pub roots: Roots,
    /// How long a fetch may take, tokens and retries included.
    pub timeout: Duration,
}

/// Why settings make no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyVaultSetupError {
    /// `vault` is not a vault's address.
    #[error("vault: {0}")]
    Vault(SourceSetupError),
    /// `vault` is `http://…`, has a path, or no host.
    #[error("vault: write https://NAME.vault.azure.net, or the vault's own https://host[:port]")]
    VaultForm,
    /// `tenant` is not a GUID.
    #[error(
        "tenant: write the tenant's id, 8-4-4-4-12 hexadecimal digits; `az account show --query \
         tenantId` says it"
    )]
    Tenant,
    /// `authority` is missing, and the vault's host is of no known cloud.
    #[error("authority: it can't be told from the vault's host; write https://HOST")]
    NoAuthority,
    /// `authority` is not `https://host[:port]`.
    #[error("authority: write https://HOST, without the tenant")]
    Authority,
    /// `resource` is missing, and the vault's host is of no known cloud.
    #[error("resource: it can't be told from the vault's host; write https://HOST")]
    NoResource,
    /// `resource` is not `https://host`.
    #[error("resource: write https://HOST, without a path")]
    Resource,
    /// An id that no identity has.
    #[error(
        "client-id and object-id have 8-4-4-4-12 hexadecimal digits, a resource-id starts with \
         /subscriptions/"
    )]
    Identity,
    /// Not an address of this machine or link.
    #[error("identity-endpoint: {0}")]
    Endpoint(SourceSetupError),
    /// No time at all, or more than ten minutes.
    #[error("timeout: 1 s to 600 s")]
    Timeout,
}

/// Settings as they were read.
pub(super) struct Read {
    /// `host[:port]` of the vault in lower case.
    pub(super) place: String,
    pub(super) pins: Pins,
    pub(super) profile: SourceProfile,
    pub(super) identity: IdentitySettings,
}

impl KeyVaultSettings {
    /// A vault of a tenant, read with the identity that the platform assigned; the
    /// rest as it is by default.
    pub fn new(vault: impl Into<String>, tenant: impl Into<String>) -> Self {
        Self {
            vault: vault.into(),
            tenant: tenant.into(),
            authority: None,
            resource: None,
            identity: Identity::System,
            platform: Platform::Auto,
            identity_endpoint: None,
            token_file: None,
            networks: None,
            roots: Roots::System,
            timeout: TIMEOUT,
        }
    }

    /// Errors: the first setting that can't be as it is.
    pub(super) fn read(&self) -> Result<Read, KeyVaultSetupError> {
        use KeyVaultSetupError as E;
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.timeout) {
            return Err(E::Timeout);
        }
        let mut profile = SourceProfile::new()
            .with_origin(&self.vault)
            .map_err(E::Vault)?
            .with_roots(self.roots.clone())
            .with_deadline(self.timeout)
            .with_max_body(MAX_ANSWER);
        if let Some(networks) = &self.networks {
            profile = profile
                .with_networks(networks.iter().copied())
                .map_err(E::Vault)?;
        }
        let (host, port) = origin(&self.vault).ok_or(E::VaultForm)?;
        if !is_guid(&self.tenant) {
            return Err(E::Tenant);
        }
        if !self.identity.is_well_formed() {
            return Err(E::Identity);
        }
        if let Some(endpoint) = &self.identity_endpoint {
            SourceProfile::new()
                .with_platform_endpoint(endpoint)
                .map_err(E::Endpoint)?;
        }
        let cloud = CLOUDS.iter().find(|(suffix, ..)| host.ends_with(suffix));
        let authority = self.authority.as_deref();
        let authority = authority
            .or(cloud.map(|(_, authority, _)| *authority))
            .ok_or(E::NoAuthority)?;
        let (authority_host, authority_port) = origin(authority).ok_or(E::Authority)?;
        let resource = self.resource.as_deref();
        let resource = resource
            .or(cloud.map(|(.., resource)| *resource))
            .ok_or(E::NoResource)?;
        origin(resource).ok_or(E::Resource)?;
        let resource = resource.trim_end_matches('/').to_owned();
        Ok(Read {
            place: place(&host, port),
            profile,
            identity: IdentitySettings {
                identity: self.identity.clone(),
                platform: self.platform,
                resource: resource.clone(),
                authority: format!("https://{}", place(&authority_host, authority_port)),
                tenant: self.tenant.clone(),
                endpoint: self.identity_endpoint.clone(),
                token_file: self.token_file.clone(),
                roots: self.roots.clone(),
                // What is left is for the vault.
                patience: self.timeout * 2 / 3,
            },
            pins: Pins {
                authority: authority_host,
                port: authority_port,
                tenant: self.tenant.clone(),
                resource,
            },
        })
    }
}

/// Host, in lower case, and port of `https://host[:port]` and nothing more.
fn origin(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let is_bare = matches!(uri.path_and_query()?.as_str(), "" | "/");
    let host = uri.host().filter(|host| !host.is_empty())?;
    let has_user = uri.authority()?.as_str().contains('@');
    let port = match uri.port() {
        Some(port) => Some(port.as_u16()).filter(|port| *port != 0)?,
        None => 443,
    };
    let is_https = uri.scheme_str() == Some("https");
    (is_https && is_bare && !has_user && !url.contains('#'))
        .then(|| (host.to_ascii_lowercase(), port))
}

fn place(host: &str, port: u16) -> String {
    match port {
        443 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use KeyVaultSetupError as E;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn with(change: impl Fn(&mut KeyVaultSettings)) -> Result<Read, KeyVaultSetupError> {
        let mut settings = KeyVaultSettings::new("https://Shop.vault.azure.net", TENANT);
        change(&mut settings);
        settings.read()
    }

    #[test]
    fn authority_and_resource_follow_from_a_vault_in_microsofts_clouds() {
        for (vault, authority, resource) in [
            (
                "https://shop.vault.azure.net/",
                "login.microsoftonline.com",
                "https://vault.azure.net",
            ),
            (
                "https://shop.vault.azure.cn",
                "login.partner.microsoftonline.cn",
                "https://vault.azure.cn",
            ),
            (
                "https://shop.vault.usgovcloudapi.net",
                "login.microsoftonline.us",
                "https://vault.usgovcloudapi.net",
            ),
        ] {
            let read = with(|settings| settings.vault = vault.to_owned()).unwrap();
            assert_eq!(read.pins.authority, authority);
            assert_eq!(read.pins.resource, resource);
            assert_eq!(read.identity.authority, format!("https://{authority}"));
        }
        let read = with(|_| ()).unwrap();
        assert_eq!(read.place, "shop.vault.azure.net");
    }

    #[test]
    fn a_vault_elsewhere_needs_both() {
        let vault = "https://vault.corp.example:8443";
        let elsewhere = |authority: Option<&str>, resource: Option<&str>| {
            with(|settings| {
                settings.vault = vault.to_owned();
                settings.authority = authority.map(str::to_owned);
                settings.resource = resource.map(str::to_owned);
            })
        };
        let authority = Some("https://login.corp.example:444/");
        let resource = Some("https://vault.corp.example/");
        assert_eq!(elsewhere(None, resource).err(), Some(E::NoAuthority));
        assert_eq!(elsewhere(authority, None).err(), Some(E::NoResource));
        let read = elsewhere(authority, resource).unwrap();
        assert_eq!(read.place, "vault.corp.example:8443");
        assert_eq!(read.pins.port, 444);
        assert_eq!(read.pins.resource, "https://vault.corp.example");
        assert_eq!(read.identity.authority, "https://login.corp.example:444");
        // The end of a look-alike is no cloud's.
        let evil = with(|settings| settings.vault = "https://vault.azure.net.evil.example".into());
        assert_eq!(evil.err(), Some(E::NoAuthority));
    }

    #[test]
    fn a_setting_that_can_not_be_is_refused_with_what_to_write() {
        for vault in [
            "http://127.0.0.1:8080",
            "https://shop.vault.azure.net/secrets",
        ] {
            let error = with(|settings| settings.vault = vault.to_owned()).err();
            assert_eq!(error, Some(E::VaultForm), "{vault}");
        }
        for vault in [
            "shop.vault.azure.net",
            "http://shop.vault.azure.net",
            "https://u@shop.vault.azure.net",
            "https://shop.vault.azure.net?x",
            "https://169.254.169.254",
        ] {
            let error = with(|settings| settings.vault = vault.to_owned()).err();
            assert!(matches!(error, Some(E::Vault(_))), "{vault}: {error:?}");
        }
        let error = with(|settings| settings.tenant = "common".to_owned()).err();
        assert_eq!(error, Some(E::Tenant));
        for authority in ["http://login.example", "https://login.example/tenant", "x"] {
            let error = with(|settings| settings.authority = Some(authority.to_owned())).err();
            assert_eq!(error, Some(E::Authority), "{authority}");
        }
        let error = with(|settings| settings.identity = Identity::ClientId("me".into())).err();
        assert_eq!(error, Some(E::Identity));
        let error = with(|settings| settings.identity_endpoint = Some("http://10.0.0.1".into()));
        assert!(matches!(error.err(), Some(E::Endpoint(_))));
        assert_eq!(
            with(|settings| settings.timeout = Duration::ZERO).err(),
            Some(E::Timeout)
        );
    }
}
