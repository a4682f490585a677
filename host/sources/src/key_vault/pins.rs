//! What is pinned of a vault, and whether its challenge says the same.

use http::HeaderMap;

use super::challenge;
use crate::error::ChallengeError;
use crate::managed_identity::is_guid;

/// Other names of Microsoft's public authority, by which vaults still call it. None of
/// them is ever asked: the pinned one is.
const PUBLIC: &str = "login.microsoftonline.com";
const PUBLIC_ALIASES: [&str; 2] = ["login.windows.net", "login.microsoft.com"];
/// The same of the one in China.
const CHINA: &str = "login.partner.microsoftonline.cn";
const CHINA_ALIASES: [&str; 1] = ["login.chinacloudapi.cn"];

/// What a challenge has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pins {
    /// The authority's host in lower case, without its port.
    pub(super) authority: String,
    /// The authority's port.
    pub(super) port: u16,
    /// The tenant's GUID.
    pub(super) tenant: String,
    /// `https://vault.azure.net`, without a slash at its end.
    pub(super) resource: String,
}

impl Pins {
    /// Compares a vault's challenges with what is pinned. Each `Bearer` challenge has
    /// to say the same; other schemes are not answered, whatever they say.
    ///
    /// Errors: the first difference.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<(), ChallengeError> {
        let mut found = false;
        for challenge in challenge::read(headers)? {
            if challenge.scheme != "bearer" {
                continue;
            }
            found = true;
            let authorities = [
                challenge.parameter("authorization"),
                challenge.parameter("authorization_uri"),
            ];
            if authorities == [None, None] {
                return Err(ChallengeError::Malformed);
            }
            for authority in authorities.into_iter().flatten() {
                self.judge_authority(authority)?;
            }
            let (resource, scope) = (
                challenge.parameter("resource"),
                challenge.parameter("scope"),
            );
            if (resource, scope) == (None, None) {
                return Err(ChallengeError::Malformed);
            }
            let is_ours = |named: &str| named.trim_end_matches('/') == self.resource;
            let is_scope = |named: &str| named.strip_suffix("/.default").is_some_and(is_ours);
            if !resource.is_none_or(is_ours) || !scope.is_none_or(is_scope) {
                return Err(ChallengeError::Resource);
            }
        }
        match found {
            true => Ok(()),
            false => Err(ChallengeError::Malformed),
        }
    }

    /// `https://HOST[:PORT]/TENANT`, and nothing more. What can't be read so is
    /// refused, not repaired: this is no place for two readings of one text.
    fn judge_authority(&self, url: &str) -> Result<(), ChallengeError> {
        let (scheme, rest) = url.split_once("://").ok_or(ChallengeError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(ChallengeError::Scheme);
        }
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        if place.contains('@') {
            return Err(ChallengeError::UserInfo);
        }
        // The colons of an IPv6 address are followed by its bracket.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| ChallengeError::Port)?)
            }
            _ => (place, 443),
        };
        if !self.is_authority(&host.to_ascii_lowercase()) {
            return Err(ChallengeError::Authority);
        }
        if port != self.port {
            return Err(ChallengeError::Port);
        }
        let tenant = path.strip_prefix('/').unwrap_or_default();
        let tenant = tenant.strip_suffix('/').unwrap_or(tenant);
        if !is_guid(tenant) || !tenant.eq_ignore_ascii_case(&self.tenant) {
            return Err(ChallengeError::Tenant);
        }
        Ok(())
    }

    fn is_authority(&self, host: &str) -> bool {
        host == self.authority
            || match self.authority.as_str() {
                PUBLIC => PUBLIC_ALIASES.contains(&host),
                CHINA => CHINA_ALIASES.contains(&host),
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use http::HeaderValue;
    use http::header::WWW_AUTHENTICATE;

    use super::*;
    use ChallengeError as E;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const OTHER: &str = "00000000-86f1-41af-91ab-2d7cd011db47";

    fn judge(challenges: &[&str]) -> Result<(), ChallengeError> {
        let pins = Pins {
            authority: PUBLIC.to_owned(),
            port: 443,
            tenant: TENANT.to_owned(),
            resource: "https://vault.azure.net".to_owned(),
        };
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            let value = HeaderValue::from_bytes(challenge.as_bytes()).unwrap();
            headers.append(WWW_AUTHENTICATE, value);
        }
        pins.judge(&headers)
    }

    fn of(authority: &str) -> String {
        format!(r#"Bearer authorization="{authority}", resource="https://vault.azure.net""#)
    }

    #[test]
    fn what_vaults_really_say_is_as_pinned() {
        for host in [
            "login.microsoftonline.com",
            "login.windows.net",
            "LOGIN.windows.net:443",
        ] {
            assert_eq!(judge(&[&of(&format!("https://{host}/{TENANT}"))]), Ok(()));
        }
        let upper = TENANT.to_ascii_uppercase();
        assert_eq!(judge(&[&of(&format!("https://{PUBLIC}/{upper}/"))]), Ok(()));
        let scope = format!(
            r#"Bearer authorization="https://{PUBLIC}/{TENANT}", scope="https://vault.azure.net/.default""#
        );
        assert_eq!(judge(&[&scope]), Ok(()));
        let uri = format!(
            r#"Bearer resource="https://vault.azure.net", authorization_uri="https://{PUBLIC}/{TENANT}""#
        );
        assert_eq!(judge(&[&uri, "PoP x=\"y\""]), Ok(()));
    }

    #[test]
    fn an_authority_that_is_not_exactly_the_pinned_one_is_refused() {
        for (authority, error) in [
            (format!("https://evil.example/{TENANT}"), E::Authority),
            (
                format!("https://{PUBLIC}.evil.example/{TENANT}"),
                E::Authority,
            ),
            (format!("https://x{PUBLIC}/{TENANT}"), E::Authority),
            (format!("https://x.{PUBLIC}/{TENANT}"), E::Authority),
            (format!("https://{PUBLIC}./{TENANT}"), E::Authority),
            (
                format!("https://login.microsoftonIine.com/{TENANT}"),
                E::Authority,
            ),
            (
                format!("https://xn--lgin-microsoftonline-8of.com/{TENANT}"),
                E::Authority,
            ),
            (format!("https://[::1]/{TENANT}"), E::Authority),
            (format!("https:///{TENANT}"), E::Authority),
            (
                format!("https://evil.example\\@{PUBLIC}/{TENANT}"),
                E::UserInfo,
            ),
            (
                format!("https://evil.example#.{PUBLIC}/{TENANT}"),
                E::Authority,
            ),
            (
                format!("https://evil.example?{PUBLIC}/{TENANT}"),
                E::Authority,
            ),
            (format!("http://{PUBLIC}/{TENANT}"), E::Scheme),
            (format!("ftp://{PUBLIC}/{TENANT}"), E::Scheme),
            (format!("//{PUBLIC}/{TENANT}"), E::Malformed),
            (format!("{PUBLIC}/{TENANT}"), E::Malformed),
            (String::new(), E::Malformed),
            (
                format!("https://{PUBLIC}@evil.example/{TENANT}"),
                E::UserInfo,
            ),
            (format!("https://a:b@{PUBLIC}/{TENANT}"), E::UserInfo),
            (format!("https://{PUBLIC}:8443/{TENANT}"), E::Port),
            (format!("https://{PUBLIC}:/{TENANT}"), E::Port),
            (format!("https://{PUBLIC}:65979/{TENANT}"), E::Port),
            (format!("https://{PUBLIC}/{OTHER}"), E::Tenant),
            (format!("https://{PUBLIC}/common"), E::Tenant),
            (format!("https://{PUBLIC}/"), E::Tenant),
            (format!("https://{PUBLIC}"), E::Tenant),
            (format!("https://{PUBLIC}/{TENANT}/../{OTHER}"), E::Tenant),
            (format!("https://{PUBLIC}/{TENANT}?x"), E::Tenant),
            (format!("https://{PUBLIC}//{TENANT}"), E::Tenant),
        ] {
            assert_eq!(judge(&[&of(&authority)]), Err(error), "{authority}");
        }
    }

    #[test]
    fn every_bearer_challenge_and_every_parameter_has_to_say_the_same() {
        let good = of(&format!("https://{PUBLIC}/{TENANT}"));
        let evil = of(&format!("https://evil.example/{TENANT}"));
        assert_eq!(judge(&[&good, &evil]), Err(E::Authority));
        assert_eq!(judge(&[&format!("{good}, {evil}")]), Err(E::Authority));
        let both = format!(r#"{good}, authorization_uri="https://evil.example/{TENANT}""#);
        assert_eq!(judge(&[&both]), Err(E::Authority));
        let scope = format!(r#"{good}, scope="https://graph.microsoft.com/.default""#);
        assert_eq!(judge(&[&scope]), Err(E::Resource));
    }

    #[test]
    fn a_resource_that_is_not_exactly_the_pinned_one_is_refused() {
        for resource in [
            "https://graph.microsoft.com",
            "https://vault.azure.net.evil.example",
            "https://vault.azure.net/x",
            "http://vault.azure.net",
            "HTTPS://VAULT.AZURE.NET",
            "",
        ] {
            let text = format!(
                r#"Bearer authorization="https://{PUBLIC}/{TENANT}", resource="{resource}""#
            );
            assert_eq!(judge(&[&text]), Err(E::Resource), "{resource}");
        }
        let none = format!(r#"Bearer authorization="https://{PUBLIC}/{TENANT}""#);
        assert_eq!(judge(&[&none]), Err(E::Malformed));
        assert_eq!(judge(&["Basic realm=\"x\""]), Err(E::Malformed));
        assert_eq!(
            judge(&[r#"Bearer resource="https://vault.azure.net""#]),
            Err(E::Malformed)
        );
    }
}
