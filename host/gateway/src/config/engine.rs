//! `[engine]`, and what a `[[policy]]` says about its sandbox.

use std::path::PathBuf;

use keyward::engine::{BOUNDS, Limits, Sandbox};

use super::parse::Parser;
use super::reader::Reader;

/// `[engine]`: how policies are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSection {
    /// The folder in which compiled policies are kept; `cache` unless set.
    pub cache: PathBuf,
    /// Whether the log says in which function a policy was stopped. False unless set.
    pub reports: bool,
}

impl<'a> Parser<'a> {
    /// None only if there are findings.
    pub(super) fn engine(&self, root: &Reader<'a, '_>) -> Option<EngineSection> {
        let mut engine = EngineSection {
            cache: self.base.join("cache"),
            reports: false,
        };
        let Some(section) = root.section("engine", "[engine]") else {
            return Some(engine);
        };
        if section.key_span("cache").is_some() {
            engine.cache = self.path(&section, "cache")?;
        } else {
            let _ = self.path(&section, "cache");
        }
        engine.reports = section.flag("reports").unwrap_or(false);
        section.finish();
        Some(engine)
    }

    /// The sandbox of a policy: `profile`, `concurrent-calls` and `[policy.limits]`; and
    /// which limits the file sets.
    pub(super) fn sandbox(&self, section: &Reader<'a, '_>) -> (Sandbox, Vec<&'static str>) {
        let profile = section.text("profile").and_then(|text| {
            let parsed = text.value.parse();
            if parsed.is_err() {
                self.findings.add_with_help(
                    text.span,
                    "`profile` is neither \"lean\", \"standard\" nor \"large\"",
                    "leave it out: the smallest that has room for what the component declares is chosen",
                );
            }
            parsed.ok()
        });
        let calls = section.whole("concurrent-calls", 1, 10_000);
        let mut set = Vec::new();
        let limits = section.section("limits", "[policy.limits]").map(|section| {
            let mut limits = Limits::default();
            for (limit, least, most) in BOUNDS {
                if let Some(value) = section.whole(limit, least, most) {
                    limits.set(limit, value.value);
                    set.push(limit);
                }
            }
            section.finish();
            limits
        });
        let sandbox = Sandbox {
            profile,
            // What every policy gets needs no saying.
            limits: limits.filter(|limits| *limits != Limits::default()),
            concurrent_calls: calls.map(|calls| u32::try_from(calls.value).unwrap_or(u32::MAX)),
        };
        (sandbox, set)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::path::Path;

    use keyward::engine::Profile;

    use super::super::Config;

    const FILE: &str =
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[[policy]]\nname = \"a\"\ncomponent = \"a.wasm\"\n";

    fn parse(more: &str) -> Result<Config, String> {
        let text = format!("{FILE}{more}");
        Config::parse(Path::new("/etc/keyward.toml"), &text).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_policy_has_a_sandbox_of_its_own_where_the_file_says_so() {
        let plain = parse("").unwrap();
        assert_eq!(plain.policies[0].sandbox, Default::default());
        assert_eq!(plain.engine.cache, Path::new("/etc/cache"));
        let own = parse(
            "profile = \"standard\"\nconcurrent-calls = 7\n\
             [policy.limits]\ncpu-milliseconds = 5\nmemory-bytes = 1048576\n\
             [engine]\nreports = true\ncache = \"code\"\n",
        );
        let own = own.unwrap();
        let sandbox = &own.policies[0].sandbox;
        assert_eq!(sandbox.profile, Some(Profile::Standard));
        assert_eq!(sandbox.concurrent_calls, Some(7));
        let limits = sandbox.limits.as_ref().unwrap();
        assert_eq!(limits.cpu_milliseconds, 5);
        assert_eq!(limits.memory_bytes, Some(1 << 20));
        assert!(own.engine.reports);
        assert_eq!(own.engine.cache, Path::new("/etc/code"));
    }

    #[test]
    fn what_no_sandbox_can_have_is_a_finding() {
        let said = parse("profile = \"huge\"\n[policy.limits]\ncpu-milliseconds = 0\nfuel = 1\n");
        let said = said.map(drop).unwrap_err();
        for part in [
            "lean",
            "`cpu-milliseconds` must be 1 to 10000",
            "no key `fuel`",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}
