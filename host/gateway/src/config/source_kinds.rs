//! What each kind of source is configured with.

use std::path::PathBuf;
use std::time::Duration;

use keyward::egress::source::SourceProfile;
use keyward::egress::{Dialer, Network, Roots};
use keyward::names::SourceName;
use keyward::sources::files::FilesConfig;
use keyward::sources::key_vault::{KeyVault, KeyVaultSettings};
use keyward::sources::managed_identity::{Identity, Platform, Surroundings};
use keyward::sources::openbao::{OpenBao, OpenBaoAuth, OpenBaoSettings};

use super::parse::Parser;
use super::reader::{At, Reader};
use super::sources::{OpenBaoSection, SourceKind};
use super::vault::CredentialError;

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What each source in a network has.
pub(super) struct Way {
    pub(super) networks: Option<Vec<Network>>,
    pub(super) roots: Option<Roots>,
    pub(super) timeout: Duration,
}

impl<'a> Parser<'a> {
    pub(super) fn files_source(&self, section: &Reader<'a, '_>) -> Option<FilesConfig> {
        let directory = self.path(section, "directory");
        let mut config = FilesConfig::new(directory.unwrap_or_else(|| self.base.join("secrets")));
        config.keep_line_end = section.flag("keep-line-end").unwrap_or(false);
        config.readable_by_others = section.flag("readable-by-others").unwrap_or(false);
        if section.flag("credentials").unwrap_or(false) {
            if let Some(span) = section.key_span("directory") {
                self.findings.add_with_help(
                    span,
                    "`directory` and `credentials` name two folders",
                    "keep one: `credentials = true` is the folder that the service manager makes",
                );
            }
            match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(folder) if !folder.is_empty() => config.directory = PathBuf::from(folder),
                _ => {
                    let span = section.key_span("credentials").unwrap_or(section.span());
                    let error = CredentialError::NoDirectory("NAME".to_owned());
                    self.findings.add(span, format!("`credentials`: {error}"));
                    return None;
                }
            }
        }
        Some(config)
    }

    pub(super) fn environment_source(
        &self,
        section: &Reader<'a, '_>,
        kind: Option<&str>,
    ) -> Option<SourceKind> {
        let development = section.flag("development").unwrap_or(false);
        let variables = section.texts("variables");
        if kind != Some("environment") {
            return None;
        }
        if !development {
            self.findings.add_with_help(
                section.span(),
                "secrets in environment variables are for development only",
                "every process of this user can read them: use kind \"files\", or, on a machine where nothing matters, add: development = true",
            );
        }
        let Some(variables) = variables.filter(|variables| !variables.is_empty()) else {
            self.findings.add_with_help(
                section.span(),
                "[sources.NAME] has no `variables`",
                "list those that hold secrets, as in variables = [\"BILLING_KEY\"]",
            );
            return None;
        };
        let variables = variables.into_iter().filter_map(|text| {
            let name = text.value;
            let good = !name.is_empty() && !name.contains(['=', '\0']);
            if !good {
                self.findings.add(text.span, "no variable has this name");
            }
            good.then(|| name.to_owned())
        });
        Some(SourceKind::Environment {
            variables: variables.collect(),
        })
    }
    pub(super) fn openbao_source(
        &self,
        section: &Reader<'a, '_>,
        kind: Option<&str>,
        way: &Way,
    ) -> Option<OpenBaoSection> {
        let is_it = kind == Some("openbao");
        let text = |key| section.text(key).map(|text| text.value.to_owned());
        if is_it {
            section.need("address", "\"https://bao.example.com:8200\"");
            section.need("auth", "{ method = \"token-file\", file = \"bao.token\" }");
        }
        let (mount, transit) = (text("mount"), text("transit"));
        let (address, namespace) = (text("address"), text("namespace"));
        let auth = section.section("auth", "[sources.NAME.auth]");
        let auth = auth.map(|auth| self.openbao_auth(auth));
        if !is_it {
            return None;
        }
        let settings = OpenBaoSettings {
            address: address?,
            mount: mount.unwrap_or_else(|| "secret".to_owned()),
            transit: transit.unwrap_or_else(|| "transit".to_owned()),
            namespace,
            auth: auth??,
        };
        let mut profile = SourceProfile::new().with_deadline(way.timeout);
        if let Some(roots) = &way.roots {
            profile = profile.with_roots(roots.clone());
        }
        if let Some(networks) = &way.networks {
            profile = match profile.with_networks(networks.iter().copied()) {
                Ok(profile) => profile,
                Err(error) => {
                    self.findings
                        .add(section.span(), format!("`networks`: {error}"));
                    return None;
                }
            };
        }
        // What a setting can't be is known by the source alone.
        let name = SourceName::parse("source").ok()?;
        let made = OpenBao::new(name, settings.clone(), profile.clone(), &Dialer::default());
        if let Err(error) = made {
            self.findings
                .add(section.span(), format!("[sources.NAME] {error}"));
            return None;
        }
        Some(OpenBaoSection { settings, profile })
    }

    /// How to log in: `[sources.NAME.auth]`.
    fn openbao_auth(&self, section: Reader<'a, '_>) -> Option<OpenBaoAuth> {
        let text = |key| section.text(key).map(|text| text.value.to_owned());
        let method = section.required_text("method", "\"approle\"");
        let file = self.path(&section, "file");
        let (mount, role) = (text("mount"), text("role"));
        let role_id = text("role-id");
        let secret_id_file = self.path(&section, "secret-id-file");
        let wrapped = section.flag("wrapped").unwrap_or(false);
        let token_file = self.path(&section, "token-file");
        let At { value, span } = method?;
        let needs: &[(&'static str, &str)] = match value {
            "token-file" => &[("file", "\"bao.token\"")],
            "approle" => &[
                ("role-id", "\"ROLE-ID\""),
                ("secret-id-file", "\"bao.secret-id\""),
            ],
            "kubernetes" => &[("role", "\"keyward\"")],
            "jwt" => &[("role", "\"keyward\""), ("token-file", "\"jwt\"")],
            other => {
                self.findings.add_with_help(
                    span,
                    format!("`method` can't be \"{}\"", other.escape_debug()),
                    "write one of: token-file, approle, kubernetes, jwt",
                );
                return None;
            }
        };
        for (key, example) in needs {
            section.need(key, example);
        }
        let allowed: &[&str] = match value {
            "token-file" => &["method", "file"],
            "approle" => &["method", "mount", "role-id", "secret-id-file", "wrapped"],
            "kubernetes" | "jwt" => &["method", "mount", "role", "token-file"],
            _ => &[],
        };
        let keys = [
            "file",
            "mount",
            "role",
            "role-id",
            "secret-id-file",
            "wrapped",
            "token-file",
        ];
        for key in keys.into_iter().filter(|key| !allowed.contains(key)) {
            if let Some(span) = section.key_span(key) {
                self.findings
                    .add(span, format!("`{key}` is not for logins by {value}"));
            }
        }
        section.finish();
        let mounted = |usual: &str| mount.clone().unwrap_or_else(|| usual.to_owned());
        Some(match value {
            "token-file" => OpenBaoAuth::TokenFile { file: file? },
            "approle" => OpenBaoAuth::AppRole {
                mount: mounted("approle"),
                role_id: role_id?,
                secret_id_file: secret_id_file?,
                wrapped,
            },
            "kubernetes" => OpenBaoAuth::Kubernetes {
                mount: mounted("kubernetes"),
                role: role?,
                token_file: token_file.unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT)),
            },
            _ => OpenBaoAuth::Jwt {
                mount: mounted("jwt"),
                role: role?,
                token_file: token_file?,
            },
        })
    }

    pub(super) fn key_vault_source(
        &self,
        section: &Reader<'a, '_>,
        kind: Option<&str>,
        way: Way,
    ) -> Option<KeyVaultSettings> {
        let text = |key| section.text(key).map(|text| text.value.to_owned());
        let is_it = kind == Some("key-vault");
        if is_it {
            section.need("vault", "\"https://NAME.vault.azure.net\"");
            section.need("tenant", "\"00000000-0000-0000-0000-000000000000\"");
        }
        let (vault, tenant) = (text("vault"), text("tenant"));
        let is_whole = vault.is_some() && tenant.is_some();
        let (vault, tenant) = (vault.unwrap_or_default(), tenant.unwrap_or_default());
        let mut settings = KeyVaultSettings::new(vault, tenant);
        settings.authority = text("authority");
        settings.resource = text("resource");
        settings.identity_endpoint = text("identity-endpoint");
        settings.token_file = self.path(section, "token-file");
        settings.networks = way.networks;
        settings.roots = way.roots.unwrap_or(Roots::System);
        settings.timeout = way.timeout;
        let ids = [
            text("client-id").map(Identity::ClientId),
            text("object-id").map(Identity::ObjectId),
            text("resource-id").map(Identity::ResourceId),
        ];
        let mut ids = ids.into_iter().flatten();
        settings.identity = ids.next().unwrap_or(Identity::System);
        if ids.next().is_some() {
            self.findings.add_with_help(
                section.span(),
                "[sources.NAME] names one identity in more than one way",
                "keep one of `client-id`, `object-id` and `resource-id`",
            );
        }
        if let Some(platform) = section.text("platform") {
            match platform.value.parse::<Platform>() {
                Ok(parsed) => settings.platform = parsed,
                Err(error) => {
                    let message = format!("`platform`: {error}");
                    self.findings.add(platform.span, message);
                }
            }
        }
        if !is_it || !is_whole {
            return None;
        }
        // What a setting can't be is known by the source alone.
        let name = SourceName::parse("source").ok()?;
        let made = KeyVault::new(
            name,
            &settings,
            &Surroundings::default(),
            &Dialer::default(),
        );
        match made {
            Ok(_) => Some(settings),
            Err(error) => {
                self.findings
                    .add(section.span(), format!("[sources.NAME] {error}"));
                None
            }
        }
    }
}
