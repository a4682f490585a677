//! What a platform tells a process about its identity, by environment variables.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// The longest value of a variable that is taken, in bytes.
const MAX_BYTES: usize = 4096;

/// The environment variables by which Azure's platforms tell where tokens are. It has
/// no `Debug`: one of them is a credential.
#[derive(Default)]
pub struct Surroundings {
    /// `IDENTITY_ENDPOINT`: App Service, Functions, Container Apps.
    pub(super) identity_endpoint: Option<String>,
    /// `IDENTITY_HEADER`: proves to that endpoint that the caller is the app.
    pub(super) identity_header: Option<Zeroizing<String>>,
    /// `IDENTITY_SERVER_THUMBPRINT`: Service Fabric, which is not supported.
    pub(super) is_service_fabric: bool,
    /// `IMDS_ENDPOINT`: Azure Arc, which is not supported.
    pub(super) is_arc: bool,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`: where IMDS answers, if not where it does
    /// on virtual machines.
    pub(super) imds: Option<String>,
    /// `AZURE_TENANT_ID`: workload identity.
    pub(super) tenant: Option<String>,
    /// `AZURE_CLIENT_ID`: workload identity.
    pub(super) client_id: Option<String>,
    /// `AZURE_AUTHORITY_HOST`: workload identity.
    pub(super) authority: Option<String>,
    /// `AZURE_FEDERATED_TOKEN_FILE`: workload identity.
    pub(super) token_file: Option<PathBuf>,
}

impl Surroundings {
    /// From this process's environment.
    pub fn of_process() -> Self {
        Self::from_lookup(|variable| std::env::var(variable).ok())
    }

    /// From what `lookup` says of each variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text =
            |variable| lookup(variable).filter(|text| (1..=MAX_BYTES).contains(&text.trim().len()));
        Self {
            identity_endpoint: text("IDENTITY_ENDPOINT"),
            identity_header: text("IDENTITY_HEADER").map(Zeroizing::new),
            is_service_fabric: text("IDENTITY_SERVER_THUMBPRINT").is_some(),
            is_arc: text("IMDS_ENDPOINT").is_some(),
            imds: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            tenant: text("AZURE_TENANT_ID"),
            client_id: text("AZURE_CLIENT_ID"),
            authority: text("AZURE_AUTHORITY_HOST"),
            token_file: text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        }
    }
}
