# SPDX-License-Identifier: MIT
"""Hosts: TCG machines, and the servers of a lab.

A playbook describes its hosts itself, or names those of an inventory (`lab.yaml`). Both give the
same frozen models.
"""

import getpass
import ipaddress
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from harness.errors import UserError
from harness.model.document import Flag, Form, Integer, Model, complaints, read_yaml
from harness.paths import expanded

DEFAULT = Path("lab.yaml")


def _checked_command(text: str) -> str:
    if not shlex.split(text):
        raise ValueError("no command")
    return text


# Names are parts of the names of files, which have 255 characters at most.
Name = Annotated[
    str,
    Form(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "a name: at most 100 letters, digits, '.', '_' and '-'"
    ),
]
# These end up in commands, in files of L0 and in OpenSSH's formats: nothing else is let in.
_USER = r"[A-Za-z_][A-Za-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9.-]*)?"
_User = Annotated[str, Form(_USER, "a user's name")]
_Port = Annotated[Integer, Field(ge=1, le=65535)]
_Folder = Annotated[
    str,
    Form(
        r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}",
        "an absolute path of two or more plain names, as /var/lib/neve",
    ),
]
_CpuList = Annotated[str, Form(r"\d+(-\d+)?(,\d+(-\d+)?)*", "a list of CPUs, as 4-7 or 2,3")]
# A command line of this machine. It may hold a secret, so it stays out of the metadata.
_Command = Annotated[str, AfterValidator(_checked_command)]
_SecretCommand = Annotated[_Command | None, Field(exclude=True, repr=False)]
# Timeouts do not affect results, so they may change before --resume.
_Seconds = Annotated[Integer, Field(exclude=True)]


_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_IPV6 = re.compile(r"([0-9A-Fa-f:.]+)(%[A-Za-z0-9._-]+)?")
_ENDPOINT = re.compile(r"\[([^][]+)\](?::(\d+))?|([^][:]+)(?::(\d+))?|([^][]*:[^][]*:[^][]*)")


def _checked_host(text: str) -> str:
    """A name, an IPv4 or an IPv6 address. Raises ValueError."""
    ipv6 = _IPV6.fullmatch(text) if ":" in text else None
    if ipv6:
        with suppress(ValueError):
            ipaddress.IPv6Address(ipv6[1])
            return text
    if _HOST_NAME.fullmatch(text):
        return text
    hint = "; a port goes into `port`" if re.fullmatch(r"\[?[^][]*\]?:\d+", text) else ""
    raise ValueError(f"{text!r} is neither a host name nor an address{hint}")


def split_address(text: str) -> tuple[str | None, str, int | None]:
    """(user, host, port) of `[user@]host[:port]`, where an IPv6 address with a port is in
    brackets, and a user may have a domain (`me@corp.example@host`). Raises ValueError."""
    user, at, endpoint = text.rpartition("@")
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        raise ValueError(f"{text!r} is not an address: expected [user@]host[:port]")
    if at and not re.fullmatch(_USER, user):
        raise ValueError(f"{user!r} is not a user name")
    host, port = match[1] or match[3] or match[5], match[2] or match[4]
    if port and not 0 < int(port) < 1 << 16:
        raise ValueError(f"{port} is not a port")
    return user or None, _checked_host(host), int(port) if port else None


def _checked_jump(text: str) -> str:
    """Hosts like those of OpenSSH's ProxyJump: `user@host:port`, with commas between them."""
    for part in text.split(","):
        split_address(part)
    return text


_Address = Annotated[str, AfterValidator(_checked_host)]
_Jump = Annotated[str, AfterValidator(_checked_jump)]


class TcgHostSpec(Model):
    """A machine that QEMU emulates (TCG); the harness starts it."""

    kind: Literal["tcg"] = "tcg"
    """`tcg`: an emulated machine; the default in a playbook."""
    name: Name = "tcg"
    """What results call it."""
    cpu: Annotated[
        str,
        Form(
            r"[\w.-]+(,[\w.-]+=[\w.-]+)*", "a processor of QEMU's, as cortex-a57 or max,pauth=off"
        ),
    ] = "max"
    """Its processor, any model of QEMU's; `max` has FEAT_NV and FEAT_NV2."""
    gic: Literal[2, 3] = 3
    """The version of its interrupt controller."""
    cpus: Annotated[Integer, Field(ge=2, le=16)] = 4
    """How many CPUs it has: two for a guest's vCPUs, and some that keep L0 responsive. With fewer
    CPUs than spinning vCPUs a guest hardly advances, as an emulated machine runs them in turn."""
    memory: Annotated[Integer, Field(ge=1024, le=65536)] = 2560
    """Its memory, in MiB."""


class SudoPassword(Model):
    """Where sudo's password comes from: one of three. The harness never writes it to a file.

    The answer to a prompt is sent to the worker, which has no terminal, and is shown nowhere.
    """

    environment: str | None = None
    """The environment variable that holds it."""
    command: _Command | None = None
    """A command that prints it, on your machine: `pass show arm1`."""
    prompt: Flag = False
    """Ask for it at the terminal, once, before the run."""
    _answer: SecretStr | None = PrivateAttr(None)
    _refusal: str = PrivateAttr("")

    def ask(self, question: str) -> str:
        """The answer to `question`, which is asked only once."""
        if self._answer is None:
            self._answer = SecretStr(getpass.getpass(question))
        return self._answer.get_secret_value()

    @property
    def refusal(self) -> str:
        """The words of the server that has refused the password, if it has."""
        return self._refusal

    def refuse(self, words: str) -> None:
        """Remember that a server has refused the password."""
        self._refusal = words

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.environment, self.command, self.prompt))) != 1:
            raise ValueError("sudo: give one of environment, command, prompt")
        return self


class SshHostSpec(Model):
    """An ARM server. OpenSSH's configuration decides what `user`, `port`, `key_file`, `known_hosts`
    and `jump` leave open."""

    kind: Literal["ssh"] = "ssh"
    """`ssh`: a server; the default in an inventory."""
    name: Name
    """What playbooks, `--host` and results call it."""
    address: _Address
    """A host name, an IP address, or a Host of OpenSSH's configuration."""
    user: _User | None = None
    """Who logs in: root, or who may become root by sudo."""
    port: _Port | None = None
    """SSH's port."""
    key_file: Path | None = None
    """A private key to log in with; the path is relative to the inventory's folder."""
    known_hosts: Path | None = None
    """The file that has the server's host key; the path is relative to the inventory's folder."""
    jump: _Jump | None = None
    """The hosts to go through, as in OpenSSH's ProxyJump."""
    sudo: Annotated[SudoPassword | None, Field(exclude=True)] = None
    """Where sudo's password comes from; not needed if it asks for none."""
    boot: Literal["kexec", "entry", "own"] = "kexec"
    """Which kernel L0 is: one of ours, started once by kexec or by an entry of the boot loader, or
    the server's own."""
    entry: Annotated[str | None, Field(min_length=1)] = None
    """With `boot: entry`, the server's command that chooses our entry once: `grub-reboot neve`."""
    root: _Folder = "/var/lib/neve"
    """The harness's one folder on the server."""
    cpus: _CpuList | None = None
    """CPUs that our kernel keeps free of other work, and that vCPUs are pinned to; by default vCPUs
    are pinned to the last ones."""
    uefi: Flag = True
    """Whether our kernel knows UEFI and ACPI."""
    kernel_config: Path | None = None
    """A file of options, such as drivers, for the kernel that is built for this server; the path is
    relative to the inventory's folder."""
    power_cycle: _SecretCommand = None
    """A command that cuts the server's power for a moment; it runs on your machine, without a
    shell."""
    console: _SecretCommand = None
    """A command that shows the server's serial console; it runs on your machine, without a
    shell."""
    console_shell: Annotated[Flag, Field(exclude=True)] = False
    """Whether our kernel's serial console is a root shell without a login. Only for debugging."""
    notice: _Seconds = Field(0, ge=0, le=86400)
    """How many seconds users who are logged in have before the server restarts."""
    silence: _Seconds = Field(600, ge=60, le=86400)
    """After how many seconds without a login our kernel gives the server back."""
    boot_seconds: _Seconds = Field(600, ge=30, le=7200)
    """How many seconds each boot of the server may take."""
    gic: Literal[2, 3] = 3
    """The version of its interrupt controller."""

    @model_validator(mode="after")
    def _enough_cpus(self) -> Self:
        if len(self.isolated) == 1:
            raise ValueError("cpus: a guest has two vCPUs")
        return self

    @model_validator(mode="after")
    def _entry_is_chosen_by_a_command(self) -> Self:
        if (self.boot == "entry") != bool(self.entry):
            raise ValueError("entry: the command that chooses it goes with boot: entry")
        return self

    @property
    def boots_ours(self) -> bool:
        """Whether L0 is a kernel of ours."""
        return self.boot != "own"

    @property
    def features(self) -> tuple[str, ...]:
        """What a kernel of ours must know beyond what every level's does."""
        wanted = {"uefi": self.uefi, "isolation": bool(self.cpus)}
        return tuple(name for name, there in wanted.items() if there)

    @property
    def isolated(self) -> tuple[int, ...]:
        """`cpus` as numbers."""
        found: list[int] = []
        for part in (self.cpus or "").split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1) if first else []
        return tuple(found)


HostSpec = Annotated[TcgHostSpec | SshHostSpec, Field(discriminator="kind")]


class Inventory(Model):
    """The servers of a lab, by their names."""

    hosts: tuple[SshHostSpec, ...] = ()
    """The servers; no two have the same name."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len({host.name for host in self.hosts}) != len(self.hosts):
            raise ValueError("hosts: a name is listed twice")
        return self

    @classmethod
    def load(cls, path: Path) -> "Inventory":
        """Read the inventory at `path`; paths in it are relative to its folder. Raises
        UserError."""
        data = read_yaml(path, "an inventory")
        try:
            found = cls.model_validate(data)
        except ValidationError as error:
            raise UserError(f"{path}: {complaints(error)}") from error
        return cls(hosts=tuple(_beside(path.parent, host) for host in found.hosts))

    @classmethod
    def of(cls, path: Path | None) -> "Inventory":
        """The inventory at `path`; without one ./lab.yaml, if there is one."""
        if path is None and not DEFAULT.exists():
            return cls()
        return cls.load(path or DEFAULT)

    def find(self, name: str) -> SshHostSpec | None:
        """The host with that name."""
        return next((host for host in self.hosts if host.name == name), None)

    def select(self, names: Sequence[str]) -> tuple[SshHostSpec, ...]:
        """The hosts with these names; all if there are no names. Raises UserError for an unknown
        name."""
        for name in names:
            if self.find(name) is None:
                known = ", ".join(host.name for host in self.hosts)
                raise UserError(f"--host {name}: the inventory has {known or 'no host'}")
        return tuple(host for host in self.hosts if not names or host.name in names)


def _beside(folder: Path, host: SshHostSpec) -> SshHostSpec:
    files = {
        key: folder / expanded(path, f"{host.name}: {key}")
        for key in ("key_file", "known_hosts", "kernel_config")
        if (path := getattr(host, key))
    }
    return host.model_copy(update=files)


def parse_address(text: str) -> SshHostSpec:
    """The host that `[user@]address[:port]` stands for, with the kernel that it runs."""
    try:
        user, host, port = split_address(text)
    except ValueError as error:
        raise UserError(f"--host {text}: {error}") from error
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", host).strip("-._") or "host"
    try:
        return SshHostSpec(name=name, address=host, user=user, port=port, boot="own")
    except ValidationError as error:
        raise UserError(f"--host {text}: {complaints(error)}") from error
