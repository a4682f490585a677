//! Which identity, and which of the platforms that hand out its tokens.

use std::path::PathBuf;
use std::str::FromStr;

use keyward_egress::source::{SourceProfile, SourceSetupError};
use zeroize::Zeroizing;

use super::surroundings::Surroundings;
use crate::error::IdentityError;

/// Where IMDS answers on virtual machines (Microsoft, "Azure Instance Metadata
/// Service").
const IMDS: &str = "http://169.254.169.254";

/// Whose token is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// The one that the platform assigned to the machine or app itself; with workload
    /// identity, the one that the pod's service account names.
    #[default]
    System,
    /// A user-assigned one, by its client id: a GUID.
    ClientId(String),
    /// A user-assigned one, by the object id of its principal: a GUID.
    ObjectId(String),
    /// A user-assigned one, by its resource id: `/subscriptions/…`.
    ResourceId(String),
}

impl Identity {
    /// Whether an identity can be named so.
    pub fn is_well_formed(&self) -> bool {
        match self {
            Self::System => true,
            Self::ClientId(id) | Self::ObjectId(id) => is_guid(id),
            Self::ResourceId(id) => {
                id.len() <= 1024
                    && id.to_ascii_lowercase().starts_with("/subscriptions/")
                    && id.bytes().all(|byte| byte.is_ascii_graphic())
            }
        }
    }
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in hexadecimal digits.
pub(crate) fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Who hands out tokens. As text: `auto`, `imds`, `app-service`, `workload`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Workload identity if its three variables are there, else App Service if its
    /// two are, else IMDS.
    #[default]
    Auto,
    /// The instance metadata service of virtual machines, scale sets and what runs on
    /// them.
    Imds,
    /// App Service, Functions and Container Apps.
    AppService,
    /// A Kubernetes service account that Microsoft Entra trusts.
    Workload,
}

impl Platform {
    const ALL: [Self; 4] = [Self::Auto, Self::Imds, Self::AppService, Self::Workload];

    /// The word as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Imds => "imds",
            Self::AppService => "app-service",
            Self::Workload => "workload",
        }
    }
}

/// Not one of the words for a [`Platform`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the platform is auto, imds, app-service or workload")]
pub struct UnknownPlatform;

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownPlatform)
    }
}

/// What was chosen, with all that a request needs.
pub(super) enum Chosen {
    Imds {
        /// `http://host[:port]`, without a slash at its end.
        base: String,
    },
    AppService {
        endpoint: String,
        header: Zeroizing<String>,
    },
    Workload {
        /// `https://host[:port]`, without a slash at its end.
        authority: String,
        tenant: String,
        client_id: String,
        token_file: PathBuf,
    },
}

/// What the configuration says, as far as the choice depends on it.
pub(super) struct Wanted<'a> {
    pub(super) platform: Platform,
    pub(super) identity: &'a Identity,
    pub(super) authority: &'a str,
    pub(super) tenant: &'a str,
    pub(super) endpoint: Option<&'a str>,
    pub(super) token_file: Option<&'a PathBuf>,
}

impl Chosen {
    /// Errors: what the platform should have told is missing, contradicts what is
    /// pinned, or the platform is not supported.
    pub(super) fn choose(
        wanted: &Wanted<'_>,
        surroundings: &Surroundings,
    ) -> Result<Self, IdentityError> {
        let has_workload = surroundings.token_file.is_some()
            && surroundings.client_id.is_some()
            && surroundings.tenant.is_some();
        let has_app =
            surroundings.identity_endpoint.is_some() && surroundings.identity_header.is_some();
        match wanted.platform {
            Platform::Imds => Ok(Self::imds(wanted, surroundings)),
            Platform::AppService => Self::app_service(surroundings),
            Platform::Workload => Self::workload(wanted, surroundings),
            Platform::Auto if wanted.endpoint.is_some() => Ok(Self::imds(wanted, surroundings)),
            Platform::Auto if has_workload => Self::workload(wanted, surroundings),
            Platform::Auto if has_app => Self::app_service(surroundings),
            Platform::Auto if surroundings.is_arc => {
                Err(IdentityError::Platform { what: "Azure Arc" })
            }
            Platform::Auto => Ok(Self::imds(wanted, surroundings)),
        }
    }

    fn imds(wanted: &Wanted<'_>, surroundings: &Surroundings) -> Self {
        let base = wanted
            .endpoint
            .or(surroundings.imds.as_deref())
            .unwrap_or(IMDS);
        Self::Imds {
            base: base.trim().trim_end_matches('/').to_owned(),
        }
    }

    fn app_service(surroundings: &Surroundings) -> Result<Self, IdentityError> {
        if surroundings.is_service_fabric {
            return Err(IdentityError::Platform {
                what: "Service Fabric",
            });
        }
        let missing = |variable| IdentityError::Environment { variable };
        let endpoint = surroundings.identity_endpoint.as_deref();
        let header = surroundings.identity_header.as_ref();
        Ok(Self::AppService {
            endpoint: endpoint
                .ok_or(missing("IDENTITY_ENDPOINT"))?
                .trim()
                .to_owned(),
            header: header.ok_or(missing("IDENTITY_HEADER"))?.clone(),
        })
    }

    fn workload(wanted: &Wanted<'_>, surroundings: &Surroundings) -> Result<Self, IdentityError> {
        let wrong = |variable| IdentityError::Environment { variable };
        // What is pinned wins; that the platform says something else is worth knowing
        // before a credential leaves.
        let same = |told: &Option<String>, pinned: &str| match told {
            Some(told) => told.trim_end_matches('/').eq_ignore_ascii_case(pinned),
            None => true,
        };
        if !same(&surroundings.authority, wanted.authority) {
            return Err(wrong("AZURE_AUTHORITY_HOST"));
        }
        if !same(&surroundings.tenant, wanted.tenant) {
            return Err(wrong("AZURE_TENANT_ID"));
        }
        let client_id = match wanted.identity {
            Identity::ClientId(id) => id.clone(),
            Identity::System => surroundings
                .client_id
                .clone()
                .filter(|id| is_guid(id))
                .ok_or(wrong("AZURE_CLIENT_ID"))?,
            Identity::ObjectId(_) | Identity::ResourceId(_) => {
                return Err(IdentityError::Platform {
                    what: "workload identity by another id than a client id",
                });
            }
        };
        let token_file = wanted.token_file.or(surroundings.token_file.as_ref());
        Ok(Self::Workload {
            authority: wanted.authority.to_owned(),
            tenant: wanted.tenant.to_owned(),
            client_id,
            token_file: token_file
                .ok_or(wrong("AZURE_FEDERATED_TOKEN_FILE"))?
                .clone(),
        })
    }

    /// The word for it, as in a configuration.
    pub(super) fn platform(&self) -> Platform {
        match self {
            Self::Imds { .. } => Platform::Imds,
            Self::AppService { .. } => Platform::AppService,
            Self::Workload { .. } => Platform::Workload,
        }
    }

    /// The profile that leads to its endpoint and nowhere else.
    pub(super) fn pin(&self, profile: SourceProfile) -> Result<SourceProfile, SourceSetupError> {
        match self {
            Self::Imds { base } => profile.with_platform_endpoint(base),
            Self::AppService { endpoint, .. } => {
                let base = endpoint
                    .split_once('?')
                    .map_or(endpoint.as_str(), |(base, _)| base);
                profile.with_platform_endpoint(base.trim_end_matches('/'))
            }
            Self::Workload { authority, .. } => profile.with_origin(authority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word for what was chosen from these variables, or why nothing was.
    fn choose(
        platform: Platform,
        identity: &Identity,
        variables: &[(&str, &str)],
    ) -> Result<&'static str, IdentityError> {
        let wanted = Wanted {
            platform,
            identity,
            authority: "https://login.microsoftonline.com",
            tenant: "72f988bf-86f1-41af-91ab-2d7cd011db47",
            endpoint: None,
            token_file: None,
        };
        let surroundings = Surroundings::from_lookup(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        Chosen::choose(&wanted, &surroundings).map(|chosen| chosen.platform().as_str())
    }

    #[test]
    fn a_platform_that_is_not_supported_is_named_and_not_taken_for_another() {
        const APP: [(&str, &str); 2] = [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:41050/msi/token"),
            ("IDENTITY_HEADER", "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"),
        ];
        // Arc has an endpoint and no header; its answers lead to a file (Microsoft,
        // "Authenticate against Azure resources with Azure Arc-enabled servers").
        let arc = [
            (
                "IDENTITY_ENDPOINT",
                "http://localhost:40342/metadata/identity/oauth2/token",
            ),
            ("IMDS_ENDPOINT", "http://localhost:40342"),
        ];
        // Service Fabric has App Service's two and a certificate to pin.
        let fabric = [APP[0], APP[1], ("IDENTITY_SERVER_THUMBPRINT", "00")];
        let workload = [
            ("AZURE_TENANT_ID", "72f988bf-86f1-41af-91ab-2d7cd011db47"),
            ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/token"),
        ];
        let object = Identity::ObjectId("bbbbbbbb-0000-1111-2222-333333333333".to_owned());
        let refused = |what| Err(IdentityError::Platform { what });
        let (auto, system) = (Platform::Auto, &Identity::System);
        for (platform, identity, variables, expected) in [
            (auto, system, &arc[..], refused("Azure Arc")),
            (auto, system, &fabric, refused("Service Fabric")),
            (
                Platform::AppService,
                system,
                &fabric,
                refused("Service Fabric"),
            ),
            (
                auto,
                &object,
                &workload,
                refused("workload identity by another id than a client id"),
            ),
            // Said by the configuration, it counts, whatever the environment says.
            (Platform::Imds, system, &arc, Ok("imds")),
            (Platform::Imds, system, &fabric, Ok("imds")),
            // Controls: what is supported is chosen.
            (auto, system, &[], Ok("imds")),
            (auto, system, &APP, Ok("app-service")),
            (auto, system, &workload, Ok("workload")),
        ] {
            let chosen = choose(platform, identity, variables);
            assert_eq!(chosen, expected, "{platform:?} {variables:?}");
            if let Err(error) = chosen {
                assert!(error.advice().ends_with('.'), "{error}");
            }
        }
    }
}
