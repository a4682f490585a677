#!/usr/bin/env python3
"""Reads Keyward vault files, written from host/vault/FORMAT.md alone.

A second implementation: it shares no code with Keyward, so that where the two
agree, the description says what is so. It checks all that FORMAT.md's section
"Reading" asks for and never prints a value.

    read_vault.py (--key-file F | --credential F | --passphrase-file F) [--digest] VAULT...

For each vault file it prints one line of JSON: what is in it, or why it is refused.
With --digest, the SHA-256 of each stored value and of each of its fields. The exit
status is 1 if a file was refused.

Needs what requirements.txt beside this file pins.
"""

import argparse
import hashlib
import hmac
import json
import re
import sys
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"KEYWARD1"
MAX_BYTES = 256 << 20
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
VALUE_NAME = re.compile(r"[A-Za-z0-9._-]{1,256}\Z")
KEY_FILE = re.compile(rb"KEYWARD-VAULT-KEY-1:([0-9a-f]{64})\n?\Z")
KEY_FILE_SLOT, PASSPHRASE_SLOT, CREDENTIAL_SLOT, SOURCE_SLOT = 1, 2, 3, 4
# Memory in KiB, passes, lanes.
FLOOR, CEILING = (65536, 3, 1), (4194304, 16, 16)
ALGORITHMS = {1: "sha256", 2: "sha384", 3: "sha512"}
ENCODINGS = {1: "raw", 2: "hex", 3: "base64"}


class Damaged(Exception):
    """The file is not what it should be. Which of all that stays inside."""


def check(condition, why):
    if not condition:
        raise Damaged(why)


# CBOR (RFC 8949), as much as FORMAT.md uses, shortest heads only.

UINT, BYTES, TEXT, ARRAY = 0, 2, 3, 4


class Cbor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        check(length <= len(self.data) - self.at, "cut short")
        self.at += length
        return self.data[self.at - length:self.at]

    def head(self):
        first = self.take(1)[0]
        major, short = first >> 5, first & 31
        if short < 24:
            return major, short
        check(short <= 27, "an indefinite length or a reserved one")
        size = 1 << (short - 24)
        number = int.from_bytes(self.take(size), "big")
        least = 24 if size == 1 else 1 << (4 * size)
        check(number >= least, "a head that is too long")
        return major, number

    def item(self, depth=0):
        check(depth < 8, "too deep")
        major, number = self.head()
        if major == UINT:
            return number
        if major == BYTES:
            return self.take(number)
        if major == TEXT:
            try:
                return self.take(number).decode("utf-8")
            except UnicodeDecodeError:
                raise Damaged("text that is not UTF-8") from None
        check(major == ARRAY, "a type that is not used")
        check(number <= len(self.data) - self.at, "a count without items")
        return [self.item(depth + 1) for _ in range(number)]


def whole(data):
    reader = Cbor(data)
    item = reader.item()
    check(reader.at == len(data), "something after the end")
    return item


def shaped(item, *types):
    """A list of exactly these types: int, str, list, bytes, or bytes of a length."""
    check(isinstance(item, list) and len(item) == len(types), "another shape")
    for part, kind in zip(item, types):
        if isinstance(kind, bytes):
            fits = isinstance(part, bytes) and len(part) == len(kind)
        else:
            fits = type(part) is kind
        check(fits, "another type")
    return item


def ascending(keys):
    keys = list(keys)
    return all(a < b for a, b in zip(keys, keys[1:]))


def name(text):
    check(NAME.match(text), "not a name")
    return text


def reference(source, key):
    name(source)
    return re.match(r"[!-~]{1,1024}\Z", key)


# Keys.


def u64(number):
    return number.to_bytes(8, "big")


def derive(key, vault, info):
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=vault, info=info)
    return kdf.derive(key)


def unseal(key, nonce, associated, sealed):
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except InvalidTag:
        raise Damaged("a tag that does not fit") from None


class Key:
    """What opens a vault: a master key, or a passphrase to derive one from."""

    def __init__(self, slot_type, secret):
        self.slot_type, self.secret = slot_type, secret

    @staticmethod
    def from_file(slot_type, path):
        with open(path, "rb") as file:
            text = file.read(256)
        found = KEY_FILE.match(text)
        if not found:
            sys.exit(f"{path} is not a Keyward key file")
        return Key(slot_type, bytes.fromhex(found[1].decode()))

    @staticmethod
    def from_source(slot, digits):
        """What a source has unwrapped of that slot."""
        key = Key(SOURCE_SLOT, bytes.fromhex(digits))
        key.slot = slot
        return key

    def suits(self, slot, kind):
        return kind == self.slot_type and (kind != SOURCE_SLOT or slot == self.slot)

    def master(self, parameters):
        if self.slot_type != PASSPHRASE_SLOT:
            return self.secret
        memory, passes, lanes, salt = parameters
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        return kdf.derive(self.secret)


def open_slots(slots, vault, key):
    """The root key, after all slots have been judged."""
    check(1 <= len(slots) <= 16, "no slots, or too many")
    for slot in slots:
        shaped(slot, int, int, int, list, bytes(32), bytes(12), bytes(48))
        parameters = slot[3]
        if slot[1] == PASSPHRASE_SLOT:
            shaped(parameters, int, int, int, bytes(16))
            bounds = zip(parameters, FLOOR, CEILING)
            check(all(least <= cost <= most for cost, least, most in bounds), "a cost")
        elif slot[1] == SOURCE_SLOT:
            source, key_in_it, sealed = shaped(parameters, str, str, bytes)
            check(reference(source, key_in_it), "a reference")
            check(1 <= len(sealed) <= 4096, "a wrapped key")
        else:
            check(slot[1] in (KEY_FILE_SLOT, CREDENTIAL_SLOT), "an unknown slot")
            check(parameters == [], "parameters")
    check(sum(slot[1] == PASSPHRASE_SLOT for slot in slots) <= 4, "too many passphrases")
    for number, kind, created, parameters, commitment, nonce, wrapped in slots:
        if not key.suits(number, kind):
            continue
        master = key.master(parameters)
        mine = derive(master, vault, b"keyward v1 slot commitment" + u64(number))
        if not hmac.compare_digest(mine, commitment):
            continue
        associated = b"keyward v1 slot" + vault + u64(number) + u64(kind) + u64(created)
        if kind == PASSPHRASE_SLOT:
            associated += b"".join(u64(cost) for cost in parameters[:3]) + parameters[3]
        elif kind == SOURCE_SLOT:
            source, key_in_it, sealed = parameters
            for part in (source.encode(), key_in_it.encode(), sealed):
                associated += u64(len(part)) + part
        encryption = derive(master, vault, b"keyward v1 slot encryption" + u64(number))
        return unseal(encryption, nonce, associated, wrapped)
    raise Damaged("no slot for this key")


# Items.


def padded(length):
    for step in (64, 128, 256, 1024, 4096):
        if length <= step:
            return step
    return -(-length // 16384) * 16384


def open_record(record, vault, wrapping, wrap_epoch):
    item, revision, key_nonce, wrapped, nonce, sealed = shaped(
        record, bytes(16), int, bytes(12), bytes(48), bytes(12), bytes)
    place = vault + item + u64(revision)
    data_key = unseal(wrapping, key_nonce, b"keyward v1 data key" + place + u64(wrap_epoch),
                      wrapped)
    plaintext = unseal(data_key, nonce, b"keyward v1 item" + place, sealed)
    reader = Cbor(plaintext)
    contents = reader.item()
    check(not any(plaintext[reader.at:]), "padding that is not zero")
    check(len(plaintext) == padded(reader.at), "padding of another length")
    check(isinstance(contents, list) and contents and type(contents[0]) is int, "no item")
    return contents


def text_fields(*names):
    def fields(value):
        parts = shaped(whole(value), *([str] * len(names)))
        return {key: part.encode() for key, part in zip(names, parts)}
    return fields


def client_keys(value):
    hash_key, clients = shaped(whole(value), bytes, list)
    subjects = []
    for client in clients:
        subject, disabled, keys = shaped(client, str, int, list)
        check(disabled in (0, 1) and 1 <= len(keys) <= 2, "a client")
        for key in keys:
            shaped(key, int, bytes(32))
        subjects.append(name(subject).encode())
    check(ascending(subjects), "clients out of order")
    fields = {f"client {subject.decode()}": b"".join(tag for _, tag in keys)
              for subject, (_, _, keys) in zip(subjects, clients)}
    return {"hash key": hash_key, **fields}


def leaf_of(chain):
    check(chain and all(isinstance(part, bytes) for part in chain), "a certificate")
    return chain[0]


def certificate(value):
    chain, form, key = shaped(whole(value), list, int, bytes)
    check(form in (1, 2, 3), "a certificate")
    return {"leaf": leaf_of(chain), "key": key}


def certificate_alone(value):
    (chain,) = shaped(whole(value), list)
    return {"leaf": leaf_of(chain)}


def storage_account(value):
    account, key, suffix, *endpoints = shaped(whole(value), str, bytes(64), *[str] * 5)
    check((suffix == "") != (not any(endpoints)), "an endpoint")
    return {"account": account.encode(), "key": key,
            "endpoint": (suffix or " ".join(endpoints)).encode()}


def connection_string(value):
    parts = whole(value)
    check(isinstance(parts, list) and parts, "a connection string")
    fields = {}
    for part in parts:
        name, text, public = shaped(part, str, str, int)
        check(public in (0, 1) and name not in fields, "a connection string")
        fields[name] = text.encode()
    return fields


def database(value):
    user, password, host, port, base, pairs = shaped(
        whole(value), str, str, str, int, str, list)
    for pair in pairs:
        shaped(pair, str, str)
    check(ascending(pair[0] for pair in pairs) and 0 < port < 65536, "a database")
    return {"user": user.encode(), "password": password.encode(), "host": host.encode(),
            "port": str(port).encode(), "database": base.encode(),
            "parameters": "&".join("=".join(pair) for pair in pairs).encode()}


def plain(value):
    return {}


def data_key(value):
    check(len(value) == 32, "a data key")
    return {}


KINDS = {
    1: ("client-keys", client_keys),
    2: ("api-key", plain),
    3: ("hmac-key", plain),
    4: ("basic", text_fields("user", "password")),
    5: ("oauth-client", text_fields("client id", "client secret")),
    6: ("certificate", certificate),
    7: ("storage-account", storage_account),
    8: ("database", database),
    9: ("aws-key", text_fields("access key id", "secret access key", "session token")),
    10: ("data-key", data_key),
    11: ("service-bus", text_fields("host", "key name", "key", "entity path")),
    12: ("connection-string", connection_string),
}


CACHES = {1: "sealed", 2: "memory", 3: "remote"}
REMOTE = ("hmac-key", "data-key", "certificate")
REASONS = {0: None, 1: "not-fetched", 2: "stale", 3: "disabled-in-source"}


def origin_of(origin, kind, current):
    (source, key, cache, why, version, received,
     confirmed) = shaped(origin, str, str, int, int, str, bytes, int)
    check(reference(source, key), "a reference")
    check(cache in CACHES and why in REASONS, "a cache or a reason")
    check(CACHES[cache] != "remote" or KINDS[kind][0] in REMOTE, "a key that can't be remote")
    alone = CACHES[cache] == "remote" and KINDS[kind][0] == "certificate"
    check(CACHES[cache] == "sealed" or alone or current == 0, "a value that must not be here")
    check(re.match(r"[!-~]{0,256}\Z", version), "a source's version")
    check(len(received) in (0, 64) and (received == b"") == (version == ""), "what was received")
    check(version == "" or (current and not alone), "a source's version of nothing")
    check((confirmed == 0) == (current == 0 or alone), "when a version was confirmed")
    return {"reference": f"{source}:{key}", "cache": CACHES[cache], "unavailable": REASONS[why],
            "source-version": version, "confirmed": confirmed}


def secret(contents, digest):
    (_, label, kind, state, created, current, previous, last, rotation, versions,
     origin) = shaped(contents, int, str, list, int, int, int, int, int, list, list, list)
    check(kind and all(type(part) is int for part in kind), "a kind")
    check(kind[0] in KINDS, "an unknown kind")
    word, fields = KINDS[kind[0]]
    shown = {"name": name(label), "kind": word}
    if kind[0] == 3:
        check(len(kind) == 3 and kind[1] in ALGORITHMS and kind[2] in ENCODINGS, "a kind")
        shown["algorithm"], shown["encoding"] = ALGORITHMS[kind[1]], ENCODINGS[kind[2]]
    elif kind[0] == 10:
        check(len(kind) == 2 and kind[1] in ENCODINGS, "a kind")
        shown["encoding"] = ENCODINGS[kind[1]]
    else:
        check(len(kind) == 1, "a kind")
    check(state in (1, 2), "a state")
    shown["state"] = {1: "enabled", 2: "disabled"}[state]
    for version in versions:
        shaped(version, int, int, int, int, bytes)
    numbers = [version[0] for version in versions]
    check(ascending([0] + numbers) and (not numbers or numbers[-1] <= last), "versions")
    check(current in numbers if current else not numbers, "the current version")
    check(previous == 0 or (previous != current and previous in numbers), "the previous version")
    after, until, every, following = shaped(rotation, int, int, int, int)
    check(previous != 0 or until == 0, "the end of a previous version that is not there")
    check((every == 0) == (following == 0), "a schedule")
    check(not origin or every == 0, "a schedule of what comes from a source")
    shown.update(created=created, current=current, previous=previous, last=last, versions=[])
    shown["rotation"] = {"retire-after": after, "previous-until": until, "every": every,
                         "next": following}
    if origin:
        shown["origin"] = origin_of(origin, kind[0], current)
        if (word, shown["origin"]["cache"]) == ("certificate", "remote"):
            fields = certificate_alone
    else:
        check(current, "a secret of the vault's own without a version")
    for number, added, not_before, not_after, value in versions:
        parts = fields(value)
        entry = {"number": number, "created": added, "not-before": not_before,
                 "not-after": not_after}
        if digest:
            entry["digest"] = hashlib.sha256(value).hexdigest()
            entry["fields"] = {key: hashlib.sha256(part).hexdigest()
                               for key, part in parts.items()}
        shown["versions"].append(entry)
    return shown


def named_value(contents):
    _, label, form, tags, created, updated = shaped(contents, int, str, list, list, int, int)
    check(VALUE_NAME.match(label), "not the name of a value")
    check(form and form[0] in (1, 2, 3), "a form")
    if form[0] == 3:
        _, source, key = shaped(form, int, str, str)
        check(reference(source, key), "a key of a reference")
        meaning = {"source": source, "key": key}
    else:
        _, text = shaped(form, int, str)
        meaning = {"plain": text} if form[0] == 1 else {"secret": name(text)}
    for tag in tags:
        check(isinstance(tag, str) and NAME.match(tag), "a tag")
    check(ascending(tag.encode() for tag in tags), "tags out of order")
    return {"name": label, "tags": tags, "created": created, "updated": updated, **meaning}


def read(data, key, digest):
    check(len(data) <= MAX_BYTES and data[:8] == MAGIC and len(data) > 40, "no vault file")
    body, mac = data[8:-32], data[-32:]
    suite, vault, epoch, slots, next_slot, wrap_epoch, wraps, trail, previous, records = shaped(
        whole(body), int, bytes(16), int, list, int, int, int, list, bytes(32), list)
    check(suite == 1, "another suite")
    size, trail_root = shaped(trail, int, bytes(32))
    root = open_slots(slots, vault, key)
    expected = hmac.new(derive(root, vault, b"keyward v1 file mac"), data[:-32], "sha256")
    check(hmac.compare_digest(expected.digest(), mac), "the MAC")
    check(ascending([slot[0] for slot in slots] + [next_slot]), "slots out of order")
    wrapping = derive(root, vault, b"keyward v1 wrap" + u64(wrap_epoch))

    secrets, values, revoked, seeds = [], [], [], 0
    for record in records:
        contents = open_record(record, vault, wrapping, wrap_epoch)
        if contents[0] == 1:
            secrets.append(secret(contents, digest))
        elif contents[0] == 2:
            values.append(named_value(contents))
        elif contents[0] == 3:
            _, grants = shaped(contents, int, list)
            for grant in grants:
                shaped(grant, str, int)
                name(grant[0])
            check(ascending(grant[0].encode() for grant in grants), "revocations out of order")
            revoked.append(grants)
        else:
            kind, _ = shaped(contents, int, bytes(32))
            check(kind == 4, "an unknown item")
            seeds += 1
    check(ascending(record[0] for record in records), "records out of order")
    check(len(revoked) == 1 and seeds == 1, "revocations and seed")
    for items in (secrets, values):
        names = [item["name"] for item in items]
        check(len(set(names)) == len(names), "a name twice")
    types = {1: "key-file", 2: "passphrase", 3: "credential", 4: "source"}
    return {
        "vault": str(uuid.UUID(bytes=vault)),
        "epoch": epoch,
        "slots": [{"id": slot[0], "type": types[slot[1]]} for slot in slots],
        "wrap-epoch": wrap_epoch,
        "wraps": wraps,
        "trail": {"size": size, "root": trail_root.hex()},
        "previous": previous.hex(),
        "secrets": sorted(secrets, key=lambda item: item["name"]),
        "values": sorted(values, key=lambda item: item["name"]),
        "revoked": [grant[0] for grant in revoked[0]],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--key-file")
    source.add_argument("--credential")
    source.add_argument("--passphrase-file")
    source.add_argument("--source-slot", nargs=2, metavar=("SLOT", "DIGITS"))
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("vault", nargs="+")
    options = parser.parse_args()
    if options.key_file:
        key = Key.from_file(KEY_FILE_SLOT, options.key_file)
    elif options.credential:
        key = Key.from_file(CREDENTIAL_SLOT, options.credential)
    elif options.source_slot:
        key = Key.from_source(int(options.source_slot[0]), options.source_slot[1])
    else:
        with open(options.passphrase_file, "rb") as file:
            key = Key(PASSPHRASE_SLOT, file.read())
    refused = False
    for path in options.vault:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        try:
            print(json.dumps(read(data, key, options.digest)))
        except Damaged:
            refused = True
            print(json.dumps({"error": "wrong key or damaged file"}))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
