#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use keyward::egress::Dialer;

use super::super::Config;
use super::*;

fn parse(sections: &str) -> Result<Config, String> {
    let text = format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{sections}");
    let parsed = Config::parse(Path::new("/etc/keyward/keyward.toml"), &text);
    parsed.map_err(|errors| {
        let found = errors.findings().iter();
        let lines = found.map(|found| {
            let help = found.help.clone().unwrap_or_default();
            format!("{} ({help})\n", found.message)
        });
        lines.collect()
    })
}

#[track_caller]
fn refused(sections: &str, says: &str) {
    let found = parse(sections).unwrap_err();
    assert!(found.contains(says), "{sections}\n{found}");
}

const BAO: &str = "[sources.bao]\nkind = \"openbao\"\naddress = \"https://bao.example.com:8200\"\n";

#[test]
fn a_source_of_each_kind_is_read_and_can_be_made() {
    let config = parse(&format!(
        r#"
[sources.mounted]
kind = "files"
directory = "secrets/eu"
refresh = "30s"
stale-limit = "2h"
cache = "sealed"
[sources.azure]
kind = "key-vault"
vault = "https://shop.vault.azure.net"
tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
client-id = "72f988bf-86f1-41af-91ab-2d7cd011db48"
platform = "imds"
[sources.dev]
kind = "environment"
development = true
variables = ["BILLING_KEY"]
{BAO}auth = {{ method = "approle", role-id = "r", secret-id-file = "bao.secret-id" }}
"#
    ))
    .unwrap();
    let section = |name: &str| {
        let mut sections = config.sources.iter();
        sections
            .find(|section| section.name.as_str() == name)
            .unwrap()
    };
    let mounted = section("mounted");
    assert_eq!(mounted.schedule.refresh, Duration::from_secs(30));
    assert_eq!(mounted.schedule.stale_limit, Duration::from_secs(7200));
    assert_eq!(mounted.cache, Cache::Sealed);
    let SourceKind::Files(files) = &mounted.kind else {
        panic!("{mounted:?}")
    };
    assert_eq!(files.directory, Path::new("/etc/keyward/secrets/eu"));
    for (name, kind) in [
        ("mounted", "files"),
        ("azure", "key-vault"),
        ("dev", "environment"),
        ("bao", "openbao"),
    ] {
        let made = section(name).build(&Dialer::default()).unwrap();
        assert_eq!((made.name().as_str(), made.kind()), (name, kind));
        assert!(section(name).builds_the_same_as(section(name)));
    }
    assert!(!section("mounted").builds_the_same_as(section("dev")));
}

#[test]
fn what_can_not_be_is_refused_with_what_to_write() {
    refused("[sources.a]\n", "has no `kind`");
    refused(
        "[sources.a]\nkind = \"folder\"\n",
        "files, openbao, key-vault, environment",
    );
    refused("[sources.A]\nkind = \"files\"\n", "not a valid source name");
    refused(
        "[sources.a]\nkind = \"files\"\ntenant = \"t\"\n",
        "`tenant` is not for sources of kind files",
    );
    refused(
        "[sources.a]\nkind = \"files\"\nrefresh = \"60\"\n",
        "`refresh` is not a time from 1s to 1d",
    );
    refused(
        "[sources.a]\nkind = \"files\"\nrefresh = \"2d\"\n",
        "`refresh` is not a time",
    );
    refused(
        "[sources.a]\nkind = \"files\"\ncache = \"disk\"\n",
        "neither \"memory\" nor \"sealed\"",
    );
    refused(
        "[sources.a]\nkind = \"files\"\ndirectroy = \"x\"\n",
        "did you mean `directory`?",
    );
    refused(
        "[sources.a]\nkind = \"files\"\ncredentials = true\n",
        "no service manager hands over credentials",
    );
    refused(
        "[sources.a]\nkind = \"environment\"\nvariables = [\"X\"]\n",
        "for development only",
    );
    refused(
        "[sources.a]\nkind = \"environment\"\ndevelopment = true\n",
        "has no `variables`",
    );
    refused("[sources.a]\nkind = \"key-vault\"\n", "has no `vault`");
    refused(
        "[sources.a]\nkind = \"key-vault\"\nvault = \"http://a.vault.azure.net\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n",
        "vault: ",
    );
    refused(BAO, "has no `auth`");
    refused(
        &format!("{BAO}auth = {{ method = \"jwt\" }}\n"),
        "has no `role`",
    );
    refused(
        &format!("{BAO}auth = {{ method = \"token-file\", file = \"t\", role = \"r\" }}\n"),
        "`role` is not for logins by token-file",
    );
    refused("[sources]\na = 3\n", "`sources` holds tables");
}

#[test]
fn where_secrets_come_from_is_written_out() {
    refused(
        "[sources.a]\nkind = \"key-vault\"\nvault = \"https://{{where}}\"\ntenant = \"x\"\n",
        "a named value can't stand here",
    );
}
