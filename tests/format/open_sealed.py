#!/usr/bin/env python3
"""Opens what Keyward sealed with a data key, written from host/vault/SEALED.md alone.

    open_sealed.py < LINES

Each line of the input is one JSON object: `key`, `sealed`, `context` in hexadecimal,
`owner`, and `shared` (whether the owner is the name of a share). For each it prints a
line: the version that sealed it and the text in hexadecimal, or `refused`.

Needs what requirements.txt beside this file pins.
"""

import json
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEAD, SALT, TAG = 9, 32, 16


def opened(key, sealed, owner, shared, context):
    """The version and the text; none if it does not open."""
    if len(sealed) < HEAD + SALT + TAG or sealed[0] != 1:
        return None
    salt = sealed[HEAD : HEAD + SALT]
    okm = HKDF(hashes.SHA256(), 44, salt, b"keyward sealed data v1").derive(key)
    name = owner.encode()
    associated = sealed[: HEAD + SALT] + bytes([shared, len(name)]) + name + context
    try:
        text = AESGCM(okm[:32]).decrypt(okm[32:], sealed[HEAD + SALT :], associated)
    except InvalidTag:
        return None
    return int.from_bytes(sealed[1:HEAD], "big"), text


for line in sys.stdin:
    item = json.loads(line)
    found = opened(
        bytes.fromhex(item["key"]),
        bytes.fromhex(item["sealed"]),
        item["owner"],
        item["shared"],
        bytes.fromhex(item["context"]),
    )
    print("refused" if found is None else f"{found[0]} {found[1].hex()}")
