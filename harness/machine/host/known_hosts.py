# SPDX-License-Identifier: MIT
"""Whether a host's key is the known one, by OpenSSH's files and rules.

`ssh-keygen -F` finds the lines: patterns, hashed names and markers are its business, and a line
that is broken is none of ours. A key that is not known is refused: nobody is asked.
"""

import base64
import binascii
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from harness.machine.host.openssh import Settings
from harness.process import ProcessError, require, run

_SECONDS = 30
_CERTIFICATE = "-cert-v01@openssh.com"
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


class UntrustedKeyError(paramiko.SSHException):
    """The host's key is not known, is another one than the known one, or is revoked."""


@dataclass(frozen=True)
class KnownKeys(paramiko.MissingHostKeyPolicy):
    """What is known of one host: keys of its own, of authorities, and those that are revoked."""

    name: str
    keys: frozenset[bytes] = frozenset()
    authorities: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()
    krl: Path | None = field(default=None)

    @classmethod
    def of(cls, known: Settings) -> "KnownKeys":
        """What the files say. As OpenSSH does, the name alone counts where none has the port."""
        found: dict[str, set[bytes]] = {}
        for name in known.names:
            for file in known.files:
                for marker, blob in _lines(name, file):
                    found.setdefault(marker, set()).add(blob)
            if found.keys() - {"@revoked"}:
                break
        return cls(
            known.names[0],
            frozenset(found.get("", ())),
            frozenset(found.get("@cert-authority", ())),
            frozenset(found.get("@revoked", ())),
            known.revoked,
        )

    def plus(self, key: paramiko.PKey | None) -> "KnownKeys":
        """With `key`, which the host has proved to be its own."""
        more = {key.asbytes()} if key else set()
        return KnownKeys(self.name, self.keys | more, self.authorities, self.revoked, self.krl)

    def preferred(self, types: Sequence[str]) -> list[str]:
        """`types` of keys, those first which are known: a host shows one of many."""
        wanted = {_type(blob) for blob in self.keys}

        def rank(kind: str) -> int:
            plain = "ssh-rsa" if kind.removesuffix(_CERTIFICATE) in _RSA else kind
            if kind.endswith(_CERTIFICATE):
                return 0 if self.authorities else 3
            return 1 if plain in wanted else 2

        return sorted(types, key=rank)

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Paramiko asks, which knows none. Raises UntrustedKeyError."""
        blob = key.asbytes()
        shown = f"{key.get_name()} {key.fingerprint}"
        if blob in self.revoked or self._listed_as_revoked(key):
            raise UntrustedKeyError(f"its key is revoked ({shown})")
        if blob in self.keys:
            return
        certificate = getattr(key.public_blob, "key_blob", None) if key.public_blob else None
        if certificate and self.authorities:
            self._verify(certificate)
            return
        if self.keys:
            raise UntrustedKeyError(f"its key is not the known one ({shown})")
        raise UntrustedKeyError(f"its key is not in known_hosts ({shown}, as {self.name})")

    def _verify(self, blob: bytes) -> None:
        try:
            found = load_ssh_public_identity(_line(blob))
            assert isinstance(found, SSHCertificate), "a key of that type is none"
            authority = _blob(
                found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
            )
            found.verify_cert_signature()
        except (ValueError, InvalidSignature) as error:
            raise UntrustedKeyError(f"its certificate is not valid: {error}") from error
        host = self.name.removeprefix("[").partition("]")[0]
        if authority in self.revoked:
            raise UntrustedKeyError("the authority of its certificate is revoked")
        if authority not in self.authorities:
            raise UntrustedKeyError("its certificate is signed by an unknown authority")
        if found.type is not SSHCertificateType.HOST or found.critical_options:
            raise UntrustedKeyError("its certificate is not a host certificate")
        if not found.valid_after <= time.time() < found.valid_before:
            raise UntrustedKeyError("its certificate is not valid now")
        if found.valid_principals and host.encode() not in found.valid_principals:
            raise UntrustedKeyError(f"its certificate is not for {host}")

    def _listed_as_revoked(self, key: paramiko.PKey) -> bool:
        """By the list of RevokedHostKeys; all are, as OpenSSH has it, where it can't be read."""
        if self.krl is None:
            return False
        with tempfile.NamedTemporaryFile("w", suffix=".pub") as file:
            file.write(f"{key.get_name()} {key.get_base64()}\n")
            file.flush()
            try:
                run(
                    [require("ssh-keygen", "openssh-client"), "-Q", "-f", str(self.krl), file.name],
                    timeout=_SECONDS,
                )
            except ProcessError:
                return True
        return False


def _lines(name: str, file: Path) -> Iterator[tuple[str, bytes]]:
    """(marker, key) of each line of `file` that is about `name`."""
    if not file.is_file():
        return
    try:
        said = run(
            [require("ssh-keygen", "openssh-client"), "-F", name, "-f", str(file)], timeout=_SECONDS
        )
    except ProcessError:  # nothing is found, or the file is not for us to read
        return
    for line in said.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        if _type(blob) == words[1]:
            yield marker, blob


def _type(blob: bytes) -> str:
    """The name that a key in SSH's format begins with."""
    return blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode(errors="replace")


def _line(blob: bytes) -> bytes:
    return _type(blob).encode() + b" " + base64.b64encode(blob)


def _blob(line: bytes) -> bytes:
    return base64.b64decode(line.split()[1])
