# SPDX-License-Identifier: MIT
"""Which files a program needs to start: the interpreter and the libraries, transitively."""

from collections.abc import Iterable
from pathlib import Path

from harness.errors import InfrastructureError


def closure(root: Path, programs: Iterable[str]) -> set[str]:
    """Paths (relative to `root`) of `programs` and of all that they load.

    Raises InfrastructureError when a library is not in the root.
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
                raise InfrastructureError(f"{name} needs {needed}, which {root} does not hold")
            todo.append(str(library.relative_to(root)))
    return found


def interpreter(program: Path) -> str:
    """The absolute path of the dynamic loader that `program` asks for."""
    from elftools.elf.elffile import ELFFile

    with program.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments():
            if segment["p_type"] == "PT_INTERP":
                return str(segment.get_interp_name())  # type: ignore[attr-defined]
    raise InfrastructureError(f"{program} names no dynamic loader")


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
