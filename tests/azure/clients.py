"""Drives the pretended Azure with Microsoft's own clients.

Names of Azure lead to the stub; all else is as it is by default, so that certificates,
challenges and answers are judged as they would be. Prints `all` when it got through.
"""

import base64
import datetime
import os
import socket
import sys

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential, WorkloadIdentityCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

VAULT = "https://shop.vault.azure.net"
looked_up = socket.getaddrinfo


def lead(host, port, *rest, **more):
    """The stub for names of Azure; nothing but this machine for others."""
    if host.endswith(".vault.azure.net") or host == "login.microsoftonline.com":
        return looked_up("127.0.0.1", int(os.environ["STUB_PORT"]), *rest, **more)
    assert host in ("127.0.0.1", "localhost"), host
    return looked_up(host, port, *rest, **more)


def refused(status, work):
    """Whether the vault refuses with that status."""
    try:
        work()
    except HttpResponseError as error:
        assert error.status_code == status, error
        return error
    raise AssertionError(f"not refused with {status}")


def secrets():
    client = SecretClient(VAULT, ManagedIdentityCredential())
    first = client.get_secret("stripe-key")
    print("first", first.properties.version, first.value)
    assert first.properties.enabled and first.properties.vault_url == VAULT
    second = client.set_secret("stripe-key", "sk_live_second", content_type="text/plain")
    assert client.get_secret("stripe-key").value == "sk_live_second"
    assert client.get_secret("stripe-key").properties.content_type == "text/plain"
    old = client.get_secret("stripe-key", first.properties.version)
    assert old.value == "sk_live_first"
    versions = client.list_properties_of_secret_versions("stripe-key")
    named = {found.version for found in versions}
    assert named == {first.properties.version, second.properties.version}
    assert [found.name for found in client.list_properties_of_secrets()] == ["stripe-key"]

    try:
        client.get_secret("none")
        raise AssertionError("a secret that is not there was read")
    except ResourceNotFoundError as error:
        assert error.error.code == "SecretNotFound", error

    client.update_secret_properties("stripe-key", second.properties.version, enabled=False)
    error = refused(403, lambda: client.get_secret("stripe-key"))
    assert error.error.innererror["code"] == "SecretDisabled", error

    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    client.set_secret("over", "v", not_before=past, expires_on=past)
    over = client.get_secret("over")
    assert over.properties.expires_on == past and over.properties.not_before == past


def pfx():
    pem = os.environ["PEM"].encode()
    key = serialization.load_pem_private_key(pem[pem.index(b"-----BEGIN PRIVATE") :], None)
    certificate = x509.load_pem_x509_certificate(pem)
    plain = serialization.NoEncryption()
    made = pkcs12.serialize_key_and_certificates(None, key, certificate, None, plain)
    print(base64.b64encode(made).decode())


def certificates():
    credential = ManagedIdentityCredential()
    certificate = CertificateClient(VAULT, credential).get_certificate("tls")
    assert certificate.secret_id.startswith(VAULT + "/secrets/tls/")
    public = x509.load_der_x509_certificate(bytes(certificate.cer))
    secret = SecretClient(VAULT, credential).get_secret("tls")
    assert secret.properties.content_type == "application/x-pkcs12"
    assert secret.id == certificate.secret_id
    whole = base64.b64decode(secret.value)
    key, leaf, _ = pkcs12.load_key_and_certificates(whole, None)
    assert leaf == public and key.public_key() == public.public_key()


def keys():
    credential = ManagedIdentityCredential()
    client = KeyClient(VAULT, credential)
    key = client.get_key("master")
    master = bytes(range(32))
    # Here with the public part of the key, there with the private one.
    algorithm = KeyWrapAlgorithm.rsa_oaep_256
    local = CryptographyClient(key, credential).wrap_key(algorithm, master)
    remote = CryptographyClient(key.id, credential)
    assert remote.unwrap_key(algorithm, local.encrypted_key).key == master
    made = client.create_rsa_key("another", size=2048)
    assert made.key_type == "RSA" and len(made.key.n) == 256


def managed():
    # By each of its names: what stands in ASSIGNED is NAME=ID, one after the other.
    assigned = dict(name.split("=") for name in os.environ["ASSIGNED"].split())
    assert sorted(assigned) == ["client_id", "object_id", "resource_id"]
    for credential in [ManagedIdentityCredential()] + [
        ManagedIdentityCredential(identity_config={name: id}) for name, id in assigned.items()
    ]:
        client = SecretClient(VAULT, credential)
        assert client.get_secret("stripe-key").value == "sk_live_first"
    client = SecretClient(VAULT, ManagedIdentityCredential(client_id=assigned["client_id"]))
    assert client.get_secret("stripe-key").value == "sk_live_first"
    for name in assigned:
        stranger = {name: "cccccccc-0000-1111-2222-333333333333"}
        stranger = ManagedIdentityCredential(identity_config=stranger)
        try:
            stranger.get_token("https://vault.azure.net/.default")
        except Exception as error:
            assert "dentity" in str(error), error
        else:
            raise AssertionError("an identity that is not assigned got a token")


def workload():
    client = SecretClient(VAULT, WorkloadIdentityCredential())
    assert client.get_secret("stripe-key").value == "sk_live_first"


def refuses():
    client = SecretClient(VAULT, ManagedIdentityCredential())
    try:
        client.get_secret("stripe-key")
    except ValueError as error:
        assert "does not match the requested domain" in str(error), error
    else:
        raise AssertionError("a challenge for another resource was followed")


if __name__ == "__main__":
    socket.getaddrinfo = lead
    part = sys.argv[1]
    {
        "secrets": secrets,
        "pfx": pfx,
        "certificates": certificates,
        "keys": keys,
        "managed": managed,
        "workload": workload,
        "refuses": refuses,
    }[part]()
    if part != "pfx":
        print("all")
