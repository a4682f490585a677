//! What an operator writes of an OpenBao source, under `[sources.NAME]`.

use std::path::PathBuf;

use http::{HeaderValue, Uri};
use keyward_egress::source::SourceSetupError;
use serde::Deserialize;

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where the server is, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OpenBaoSettings {
    /// `https://host[:port]`, with a path if the server is behind one; `http` to this
    /// machine only.
    pub address: String,
    /// Where the KV engine (version 2) is mounted: `secret` by default.
    #[serde(default = "kv")]
    pub mount: String,
    /// Where the transit engine is mounted: `transit` by default.
    #[serde(default = "transit")]
    pub transit: String,
    /// The namespace, if the server has such.
    #[serde(default)]
    pub namespace: Option<String>,
    /// How to log in.
    pub auth: OpenBaoAuth,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    tag = "method",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum OpenBaoAuth {
    /// A token that somebody else puts into a file, and replaces before it ends.
    TokenFile {
        /// The file, which is read again at each use.
        file: PathBuf,
    },
    /// AppRole.
    AppRole {
        /// Where the method is mounted: `approle` by default.
        #[serde(default = "app_role")]
        mount: String,
        /// The role's id, which is no secret.
        role_id: String,
        /// The file with the secret id, or with the token that it is wrapped in.
        secret_id_file: PathBuf,
        /// Whether the file holds a wrapping token, good for one login of one
        /// process; the secret id then stays in memory.
        #[serde(default)]
        wrapped: bool,
    },
    /// The token of a pod's service account.
    Kubernetes {
        /// Where the method is mounted: `kubernetes` by default.
        #[serde(default = "kubernetes")]
        mount: String,
        /// The role to log in as.
        role: String,
        /// The token's file: Kubernetes' own place by default.
        #[serde(default = "service_account")]
        token_file: PathBuf,
    },
    /// A JWT that somebody puts into a file.
    Jwt {
        /// Where the method is mounted: `jwt` by default.
        #[serde(default = "jwt")]
        mount: String,
        /// The role to log in as.
        role: String,
        /// The file with the JWT, which is read at each login.
        token_file: PathBuf,
    },
}

impl OpenBaoAuth {
    /// Where Kubernetes puts the token of a pod's service account.
    pub fn service_account() -> PathBuf {
        service_account()
    }
}

fn kv() -> String {
    "secret".to_owned()
}

fn transit() -> String {
    "transit".to_owned()
}

fn app_role() -> String {
    "approle".to_owned()
}

fn kubernetes() -> String {
    "kubernetes".to_owned()
}

fn jwt() -> String {
    "jwt".to_owned()
}

fn service_account() -> PathBuf {
    PathBuf::from(SERVICE_ACCOUNT)
}

/// Why settings make no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenBaoSettingsError {
    /// The address, the networks or the authorities.
    #[error(transparent)]
    Transport(#[from] SourceSetupError),
    /// A mount is not a path of plain segments.
    #[error(
        "`{key}` is a mount's path, such as \"secret\" or \"team/kv\": a-z A-Z 0-9 . _ - and /"
    )]
    Mount {
        /// Which setting.
        key: &'static str,
    },
    /// The namespace can't be a header.
    #[error("`namespace` is a path, such as \"team-a\": a-z A-Z 0-9 . _ - and /")]
    Namespace,
    /// A role or its id is empty or not visible ASCII.
    #[error("`{key}` is 1 to 256 visible ASCII characters")]
    Role {
        /// Which setting.
        key: &'static str,
    },
}

impl OpenBaoSettings {
    /// The address without a path's last slash, and the namespace's header.
    pub(super) fn check(&self) -> Result<(String, Option<HeaderValue>), OpenBaoSettingsError> {
        for (key, mount) in [("mount", &self.mount), ("transit", &self.transit)] {
            check_mount(key, mount)?;
        }
        match &self.auth {
            OpenBaoAuth::TokenFile { .. } => {}
            OpenBaoAuth::AppRole { mount, role_id, .. } => {
                check_mount("auth.mount", mount)?;
                check_role("auth.role-id", role_id)?;
            }
            OpenBaoAuth::Kubernetes { mount, role, .. } | OpenBaoAuth::Jwt { mount, role, .. } => {
                check_mount("auth.mount", mount)?;
                check_role("auth.role", role)?;
            }
        }
        let namespace = match &self.namespace {
            None => None,
            Some(text) if !is_path(text) => return Err(OpenBaoSettingsError::Namespace),
            Some(text) => {
                let header = HeaderValue::from_str(text);
                Some(header.map_err(|_| OpenBaoSettingsError::Namespace)?)
            }
        };
        let malformed = SourceSetupError::Malformed;
        let uri: Uri = self.address.parse().map_err(|_| malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(malformed.into());
        };
        let path = uri.path().trim_end_matches('/');
        Ok((format!("{scheme}://{authority}{path}"), namespace))
    }
}

fn check_mount(key: &'static str, mount: &str) -> Result<(), OpenBaoSettingsError> {
    match is_path(mount) {
        true => Ok(()),
        false => Err(OpenBaoSettingsError::Mount { key }),
    }
}

fn check_role(key: &'static str, role: &str) -> Result<(), OpenBaoSettingsError> {
    let visible = role.bytes().all(|byte| byte.is_ascii_graphic());
    match visible && (1..=256).contains(&role.len()) {
        true => Ok(()),
        false => Err(OpenBaoSettingsError::Role { key }),
    }
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 256
        && text
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn settings(change: impl FnOnce(&mut OpenBaoSettings)) -> OpenBaoSettings {
        let mut settings = OpenBaoSettings {
            address: "https://bao.example:8200".to_owned(),
            mount: kv(),
            transit: transit(),
            namespace: None,
            auth: OpenBaoAuth::TokenFile {
                file: "token".into(),
            },
        };
        change(&mut settings);
        settings
    }

    #[test]
    fn an_address_may_have_a_path_and_a_mount_several_segments() {
        let settings = settings(|settings| {
            settings.address.push_str("/bao/");
            settings.mount = "team/kv".to_owned();
            settings.namespace = Some("a/b".to_owned());
        });
        let (base, namespace) = settings.check().unwrap();
        assert_eq!(base, "https://bao.example:8200/bao");
        assert_eq!(namespace.unwrap(), "a/b");
    }

    #[test]
    fn a_setting_that_would_lead_elsewhere_is_refused_by_name() {
        let mount = |mount: &str| settings(|settings| settings.mount = mount.to_owned()).check();
        for wrong in ["", "/kv", "kv/", "a/../b", "a?b", "a%2fb", "a b"] {
            let expected = Err(OpenBaoSettingsError::Mount { key: "mount" });
            assert_eq!(mount(wrong), expected, "{wrong:?}");
        }
        let namespace = settings(|settings| settings.namespace = Some("a\r\nb".to_owned()));
        assert_eq!(namespace.check(), Err(OpenBaoSettingsError::Namespace));
        let role = settings(|settings| {
            settings.auth = OpenBaoAuth::Jwt {
                mount: jwt(),
                role: String::new(),
                token_file: "jwt".into(),
            };
        });
        let expected = Err(OpenBaoSettingsError::Role { key: "auth.role" });
        assert_eq!(role.check(), expected);
    }
}
