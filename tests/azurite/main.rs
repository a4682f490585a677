//! What Azure Storage's emulator says to requests that the vault signs: Shared Key,
//! Shared Key Lite and shared access signatures are accepted, and refused once
//! anything that they cover has changed.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod gateway;
mod shared_access;
mod shared_key;

use http::request::{Builder, Parts};
use keyward::names::{Alias, ComponentDigest, PolicyName, RouteName, SecretName};
use keyward::vault::{
    Ask, AttachError, Durability, Grants, Kind, Ledger, Note, Notes, PolicyIdentity, Secret,
    Target, Use, Vault, VaultFiles, new_exchange_id, uses,
};
use keyward_tests::{Azurite, TestGateway};
use tempfile::TempDir;

/// An emulator, or nothing where this machine can't have one.
macro_rules! emulator {
    () => {
        if keyward_tests::Azurite::is_left_out() {
            return;
        } else {
            $crate::World::start()
        }
    };
}
pub(crate) use emulator;

/// An emulator, and a vault that has its account's key.
pub(crate) struct World {
    pub(crate) azurite: Azurite,
    pub(crate) vault: Vault,
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        let mut key = [0; 64];
        keyward::vault::fill_random(&mut key);
        let azurite = Azurite::start(&key);
        let folder = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        let value = Secret::read_from(azurite.connection_string().as_bytes(), 4096).unwrap();
        let name = SecretName::parse("storage").unwrap();
        let actor = TestGateway::actor();
        vault
            .add(&name, Kind::StorageAccount, value, &actor)
            .unwrap();
        Self {
            azurite,
            vault,
            _folder: folder,
        }
    }

    /// Puts one grant in force, which is about the account and goes anywhere.
    pub(crate) fn grant(&self, use_: &str, rest: &str) {
        let text = format!(
            "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"storage\"\nuse = \"{use_}\"\n{rest}\n\
             to = [{{ route = \"storage\", paths = [{}] }}]\n",
            (1..=6)
                .map(|count| format!("\"{}\"", "/{any}".repeat(count)))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let grants = Grants::parse("grants.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        self.vault
            .set_grants(grants, &TestGateway::actor())
            .unwrap();
    }

    pub(crate) fn identity() -> PolicyIdentity {
        let ask = |use_| Ask {
            alias: Alias::parse("storage").unwrap(),
            use_,
        };
        PolicyIdentity {
            name: PolicyName::parse("p").unwrap(),
            component: ComponentDigest::from_bytes([1; 32]),
            asks: [Use::SignRequest, Use::Sas, Use::Describe].map(ask).into(),
        }
    }

    pub(crate) fn request(&self, service: &str, method: &str, path: &str) -> Builder {
        let (authority, base) = (self.azurite.authority(service), self.azurite.base());
        http::Request::builder()
            .method(method)
            .uri(format!("http://{authority}{base}{path}"))
    }

    /// A request as it leaves, with what the note adds to it.
    pub(crate) fn written(
        &self,
        request: Builder,
        body: &[u8],
        note: impl FnOnce(&Vault, &mut Ledger) -> Note,
    ) -> Result<Parts, AttachError> {
        let mut head = request.body(()).unwrap().into_parts().0;
        head.headers.insert("content-length", body.len().into());
        let mut ledger = self.vault.begin(new_exchange_id());
        let mut notes = Notes::default();
        notes.push(note(&self.vault, &mut ledger));
        let route = RouteName::parse("storage").unwrap();
        let uri = head.uri.clone();
        let target = Target {
            route: &route,
            method: &head.method,
            address: "",
            authority: uri.authority().unwrap().as_str(),
            path_and_query: uri.path_and_query().unwrap(),
        };
        let checked = notes.check(&self.vault, &mut ledger, &target).unwrap();
        let durable = futures_util::FutureExt::now_or_never(ledger.barrier());
        let durable = match durable {
            Some(durable) => durable.unwrap(),
            None => tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(ledger.barrier())
                .unwrap(),
        };
        let _ = checked.write(&durable, &mut head, Some(body))?;
        Ok(head)
    }

    /// A request that is signed with Shared Key, as the grant in force says.
    pub(crate) fn signed(&self, request: Builder, body: &[u8]) -> Parts {
        let written = self.written(request, body, |vault, ledger| {
            let permit = vault.permit::<uses::SignRequest>(&Self::identity(), "storage", ledger);
            permit.unwrap().note()
        });
        written.unwrap()
    }

    /// Sends a request as it is.
    pub(crate) fn send(&self, service: &str, head: &Parts, body: &[u8]) -> u16 {
        self.azurite.send(service, head, body).0
    }

    /// Makes a container and blobs in it, with Shared Key.
    pub(crate) fn container(&self, name: &str, blobs: &[&str]) {
        self.grant(
            "sign-request",
            "scheme = \"shared-key\"\nservice = \"blob\"",
        );
        let path = format!("/{name}?restype=container");
        let head = self.signed(self.request("blob", "PUT", &path), b"");
        assert_eq!(self.send("blob", &head, b""), 201, "{name}");
        for blob in blobs {
            let request = self.request("blob", "PUT", &format!("/{name}/{blob}"));
            let request = request.header("x-ms-blob-type", "BlockBlob");
            let head = self.signed(request, b"hello");
            assert_eq!(self.send("blob", &head, b"hello"), 201, "{name}/{blob}");
        }
    }
}
