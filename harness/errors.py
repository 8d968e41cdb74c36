# SPDX-License-Identifier: MIT
"""The three ways to fail, and the exit code that each one means.

The message says in one line what failed, where, and what to do next; `cli` prints that line
without a traceback.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class HarnessError(Exception):
    """Base of all errors that are reported as one line."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes send errors, too, whatever arguments their constructors take."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[HarnessError], arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> HarnessError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class GuestError(HarnessError):
    """A benchmark or a guest failed: panic, time-out, damaged answer. Exit code 1."""


class UserError(HarnessError):
    """The input is wrong: playbook, option, file, source tree. Exit code 2."""

    exit_code = 2


class InfrastructureError(HarnessError):
    """A host, the network, a disk or a download failed; trying again may succeed. Exit code 75."""

    exit_code = 75


class Busy(InfrastructureError):
    """Another run has the host. Exit code 75."""


class UnreachableError(UserError):
    """No host answers at the given address, or it refuses our login. Exit code 2."""


class NotNowError(InfrastructureError):
    """A host answers, but refuses logins for now: it is booting, or has too many. Exit code 75."""


class MissingToolError(UserError):
    """A program or a new enough version of it is missing on this machine. Exit code 2."""


class UnknownAddressError(UnreachableError):
    """A host's name has no address. Exit code 2."""


class NoWayError(UnreachableError):
    """The way to a host fails: this machine's network, a jump host, a proxy. That says nothing
    about the host. Exit code 2."""


class DeniedError(UnreachableError):
    """A host answers and refuses our login. Exit code 2."""


class NotRootError(DeniedError):
    """A host lets us in, but sudo does not. Exit code 2."""


class UntrustedError(UnreachableError):
    """What answers does not have the host's known key. Exit code 2."""


def together(errors: Sequence[HarnessError]) -> HarnessError:
    """One error for those of several hosts and machines: each message once, and the exit code of
    the kind that takes precedence: infrastructure, then a guest, then the input."""
    said = dict.fromkeys(map(str, errors))
    if len(said) == 1:
        return errors[0]
    kinds: tuple[type[HarnessError], ...] = (InfrastructureError, GuestError, UserError)
    kind = next(kind for kind in kinds if any(isinstance(error, kind) for error in errors))
    return kind("\n".join(said))
