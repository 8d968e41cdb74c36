# SPDX-License-Identifier: MIT
"""Throw-away SSH keys, in the formats of the programs that read them."""

import io
import struct

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def authorized_line(key: Ed25519PrivateKey) -> bytes:
    """The line of authorized_keys that lets the owner of `key` in."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"


def dropbear_format(key: Ed25519PrivateKey) -> bytes:
    """Dropbear's own key file: two SSH strings, the type and seed + public key."""
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    strings = (b"ssh-ed25519", seed + public)
    return b"".join(struct.pack(">I", len(part)) + part for part in strings)


def paramiko_key(key: Ed25519PrivateKey) -> paramiko.Ed25519Key:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text))
