# SPDX-License-Identifier: MIT
"""Which files a program needs to start: the interpreter and the libraries, transitively."""

from collections.abc import Iterable
from pathlib import Path

from harness.errors import InfrastructureError


class NoLibraryError(InfrastructureError):
    """A program needs a library that is not there. Exit code 75."""


def closure(root: Path, programs: Iterable[str]) -> set[str]:
    """Paths (relative to `root`) of `programs` and of all that they load.

    Raises NoLibraryError when a library is not in the root.
    """
    libraries = {path.name: path for path in root.glob("usr/lib/*-linux-gnu*/*.so*")}
    found: set[str] = set()
    todo = list(programs)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        for needed in _needed(root / name):
            library = libraries.get(needed)
            if library is None:
                raise NoLibraryError(f"{name} needs {needed}, which is not in the root file system")
            todo.append(str(library.relative_to(root)))
    return found


def is_arm64(program: Path) -> bool:
    """Whether `program` is one for arm64."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with program.open("rb") as stream:
            return bool(ELFFile(stream)["e_machine"] == "EM_AARCH64")
    except ELFError:
        return False


def interpreter(program: Path) -> str | None:
    """The absolute path of the dynamic loader that `program` asks for; None if it is static."""
    from elftools.elf.elffile import ELFFile

    with program.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments():
            if segment["p_type"] == "PT_INTERP":
                return str(segment.get_interp_name())  # type: ignore[attr-defined]
    return None


def _needed(path: Path) -> list[str]:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        sections = [s for s in ELFFile(stream).iter_sections() if s["sh_type"] == "SHT_DYNAMIC"]
        return [
            str(tag.needed)
            for section in sections
            for tag in section.iter_tags()  # type: ignore[attr-defined]
            if tag.entry.d_tag == "DT_NEEDED"
        ]
