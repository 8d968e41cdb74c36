# SPDX-License-Identifier: MIT
"""How OpenSSH would reach a host: `ssh -G` says it, so all of OpenSSH's files and rules count.

What the inventory or the command line says explicitly comes first. Of the rest these are taken:
HostName, User, Port, IdentityFile, CertificateFile, IdentitiesOnly, IdentityAgent, HostKeyAlias,
UserKnownHostsFile, GlobalKnownHostsFile, RevokedHostKeys, ProxyJump and ProxyCommand.
"""

import os
import pwd
import re
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfrastructureError, MissingToolError, UserError
from harness.model.inventory import SshHostSpec, split_address
from harness.process import ProcessError, lab_environment, require, run

_SECONDS = 30  # `Match exec` may take its time
# A jump host is trusted no more than a server: no questions, and no unknown keys.
_STRICT = (
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=yes",
    "-o",
    "ControlPath=none",
    "-o",
    "ConnectTimeout=20",
    "-o",
    "ServerAliveInterval=15",
    "-o",
    "PermitLocalCommand=no",
    "-o",
    "ForwardAgent=no",
    "-o",
    "ForwardX11=no",
)
_JUMPS = 8
_TOKEN = re.compile(r"%(.)|\$\{(\w+)\}")
_ONE = (
    "user",
    "hostname",
    "port",
    "hostkeyalias",
    "proxyjump",
    "proxycommand",
    "identitiesonly",
    "identityagent",
    "proxyusefdpass",
    "revokedhostkeys",
)


@dataclass(frozen=True)
class Settings:
    """How to reach one host.

    `names` are those under which its key may be known, `files` those with known hosts, `revoked`
    the list of revoked keys. `agent` is the agent's socket. `proxy` is the command whose standard
    streams are the connection; without one it is TCP.
    """

    host: str
    user: str
    port: int
    names: tuple[str, ...]
    files: tuple[Path, ...]
    revoked: Path | None
    identities: tuple[Path, ...]
    certificates: tuple[Path, ...]
    others: bool  # whether the agent's other keys are tried, too
    agent: str | None
    proxy: tuple[str, ...]

    @classmethod
    def of_machine(cls, host: str, port: int) -> "Settings":
        """A machine of ours, of which no file of OpenSSH's knows."""
        return cls(host, "root", port, (f"[{host}]:{port}",), (), None, (), (), False, None, ())


def settings(spec: SshHostSpec) -> Settings:
    """What `spec` says, and OpenSSH where it is silent. Raises UserError for what neither takes."""
    if spec.key_file and not _there(spec.key_file):
        raise UserError(f"host {spec.name}: key_file {spec.key_file}: no such file")
    if spec.known_hosts and not os.access(spec.known_hosts, os.R_OK):
        raise UserError(f"host {spec.name}: known_hosts {spec.known_hosts} can't be read")
    try:
        said = _asked(spec.address, _login(spec.user, spec.port))
        return _settings(spec, said)
    except ProcessError as error:
        raise UserError(f"host {spec.name}: ssh -G {spec.address}: {error.complaint}") from error


def _settings(spec: SshHostSpec, said: Mapping[str, Sequence[str]]) -> Settings:
    one = {name: said[name][0] for name in _ONE if name in said}
    host, port = one["hostname"], int(one["port"])
    alias = one.get("hostkeyalias")
    tokens = {"h": host, "n": spec.address, "p": str(port), "r": one["user"], "k": alias or host}
    files = (
        [spec.known_hosts]
        if spec.known_hosts
        else [
            Path(name)
            for key in ("userknownhostsfile", "globalknownhostsfile")
            for name in re.split(r" (?=/)", said[key][0])
            if name != "none"
        ]
    )
    listed = (
        [spec.key_file]
        if spec.key_file
        else [path for name in said.get("identityfile", ()) if _there(path := _path(name, tokens))]
    )
    revoked = one.get("revokedhostkeys", "none")
    return Settings(
        host,
        one["user"],
        port,
        names=(alias,) if alias else (host,) if port == 22 else (f"[{host}]:{port}", host),
        files=tuple(files),
        revoked=None if revoked == "none" else _path(revoked, tokens),
        identities=tuple(listed),
        certificates=tuple(_path(name, tokens) for name in said.get("certificatefile", ())),
        others=not spec.key_file and one.get("identitiesonly") != "yes",
        agent=_agent(one.get("identityagent", "SSH_AUTH_SOCK"), tokens),
        proxy=_proxy(spec, one, f"[{host}]:{port}", tokens),
    )


def _asked(host: str, options: Sequence[str]) -> dict[str, list[str]]:
    """All that `ssh -G` says, by keyword."""
    ssh = require("ssh", "openssh-client")
    output = run([ssh, "-G", "-T", *options, "--", host], timeout=_SECONDS, env=lab_environment())
    said: dict[str, list[str]] = {}
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value)
    return said


def _there(key: Path) -> bool:
    """Its public half is enough where an agent has the other."""
    return key.exists() or key.with_name(f"{key.name}.pub").exists()


def _login(user: str | None, port: int | None) -> list[str]:
    return [*(["-l", user] if user else []), *(["-p", str(port)] if port else [])]


def _agent(said: str, tokens: Mapping[str, str]) -> str | None:
    if said == "none":
        return None
    name = "SSH_AUTH_SOCK" if said == "SSH_AUTH_SOCK" else said[1:] if said[0] == "$" else None
    return os.environ.get(name) if name else str(_path(said, tokens))


def _path(text: str, tokens: Mapping[str, str]) -> Path:
    """The file of a setting, which `ssh -G` shows as it is written."""
    user = pwd.getpwuid(os.getuid())
    known = {
        "%": "%",
        "d": user.pw_dir,
        "u": user.pw_name,
        "i": str(user.pw_uid),
        "l": socket.getfqdn(),
        "L": socket.gethostname().partition(".")[0],
        **tokens,
    }

    def value(match: re.Match[str]) -> str:
        if match[2]:
            return os.environ.get(match[2], "")
        return known.get(match[1], match[0])

    found = _TOKEN.sub(value, text)
    return Path(user.pw_dir + found[1:] if found.startswith("~/") else found).expanduser()


def _proxy(
    spec: SshHostSpec, one: Mapping[str, str], to: str, tokens: Mapping[str, str]
) -> tuple[str, ...]:
    jumps = spec.jump or one.get("proxyjump", "none")
    if jumps != "none":
        return _through(spec, jumps, to, _JUMPS)
    command = one.get("proxycommand", "none")
    if command == "none":
        return ()
    if one.get("proxyusefdpass") == "yes":
        raise UserError(f"host {spec.name}: ProxyUseFdpass is not supported")
    known = {"%": "%", **tokens}
    strange = {token for token in re.findall("%(.)", command) if token not in known}
    if strange:
        raise UserError(
            f"host {spec.name}: ProxyCommand: %{', %'.join(sorted(strange))}: not supported"
        )
    filled = re.sub("%(.)", lambda match: known[match[1]], command)
    return ("sh", "-c", f"exec {filled}")


def _through(spec: SshHostSpec, jumps: str, to: str, left: int) -> tuple[str, ...]:
    """An ssh that connects its standard streams with `to` by way of `jumps`: `user@host:port,…`.

    Every one of them is reached by an ssh as strict as this one.
    """
    if not left:
        raise UserError(f"host {spec.name}: more than {_JUMPS} jump hosts, or a circle of them")
    *before, last = jumps.split(",")
    user, host, port = split_address(last.removeprefix("ssh://"))
    options = [*_login(user, port), *_files(spec)]
    said = _asked(host, options)
    earlier = ",".join(before) or said.get("proxyjump", ["none"])[0]
    way: list[str] = []
    if earlier != "none":
        inner = _through(spec, earlier, f"[{said['hostname'][0]}]:{said['port'][0]}", left - 1)
        way = ["-o", f"ProxyCommand={shlex.join(inner).replace('%', '%%')}"]
    return (require("ssh", "openssh-client"), *_STRICT, *options, *way, "-W", to, "--", host)


def _files(spec: SshHostSpec) -> Iterator[str]:
    """The inventory's files for its jump host, too."""
    if spec.key_file:
        yield from ("-o", "IdentitiesOnly=yes", "-i", str(spec.key_file).replace("%", "%%"))
    if spec.known_hosts:
        name = str(spec.known_hosts.absolute()).replace("%", "%%")
        yield from ("-o", f'UserKnownHostsFile="{name}"', "-o", "GlobalKnownHostsFile=none")


def fingerprint(file: Path) -> str | None:
    """SHA256:… of the key in `file`, private or public, even one with a passphrase."""
    try:
        said = run(
            [require("ssh-keygen", "openssh-client"), "-l", "-f", str(file)], timeout=_SECONDS
        ).split()
    except MissingToolError:
        raise
    except InfrastructureError:
        return None
    return said[1] if len(said) > 1 else None
