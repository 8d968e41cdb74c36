# SPDX-License-Identifier: MIT
"""The kernel's own checkpatch on the mails of our series, for the tests and for `make lint`.

python -m tests.checkpatch checks every track that has a source in the cache.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

from harness.build.kernel.mails import COVER, mails
from harness.build.kernel.patches import render
from harness.build.kernel.repository import Identity
from harness.build.kernel.source import sources
from harness.cache import Cache
from harness.model.track import Track, track_names
from harness.paths import ROOT

# It and what it reads, by their paths in a kernel tree.
SCRIPTS = ("scripts/checkpatch.pl", "scripts/spelling.txt", "scripts/const_structs.checkpatch")
DEVELOPER = Identity("A Developer", "dev@example.org")
_OPTIONS = ("--no-tree", "--terse", "--no-summary", "--show-types")
_IGNORED = "FILE_PATH_CHANGES"  # a MAINTAINERS entry is upstream's business
# Lists of registers as X-macros, and macros of the assembler: not what these checks are for.
_MACROS = {
    "vncr-mapping": "COMPLEX_MACRO",
    "pv-el2-operations": "COMPLEX_MACRO",
    "pv-el2-macros": "LINE_CONTINUATIONS,MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,SPLIT_STRING,"
    "TRAILING_SEMICOLON",
    "nested-interface": "COMPLEX_MACRO",
    "vel2-emulation": "MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,TRAILING_SEMICOLON",
    "vel2-traps": "LEADING_SPACE",  # asm-offsets.c has a style of its own
    "pv-el2-neve": "MULTISTATEMENT_MACRO_USE_DO_WHILE,SPACING,TRAILING_SEMICOLON",
}


# What was clean, by what it was made of: `make lint` and `make test` look at the same mails.
_CLEAN = ROOT / ".pytest_cache" / "checkpatch"


def unpack(source, files, folder):
    """`files` of a source, by their paths in its tree, into `folder`, which is new."""
    folder.mkdir(parents=True)
    subprocess.run(
        [
            "tar",
            "-xf",
            source.archive,
            "-C",
            folder,
            "--strip-components=1",
            "--wildcards",
            "--no-wildcards-match-slash",
            *(f"*/{file}" for file in files),
        ],
        check=True,
    )
    return folder


def complaints(series, version, tree, folder):
    """What the checkpatch of `tree` says of the mails of all variants of the series for Linux
    `version`, which are written below `folder`: lines, none if they are clean."""
    checked, ignoring = set(), {}
    for number, values in enumerate(series.variants()):
        rendered = render(series, version, values)
        found = dict(mails(series.folder, rendered, DEVELOPER, version))
        found.pop(COVER, None)
        for patch, (name, text) in zip(rendered, found.items(), strict=True):
            if patch.text in checked:
                continue
            checked.add(patch.text)
            mail = folder / str(number) / f"{name}.patch"
            mail.parent.mkdir(exist_ok=True)
            mail.write_text(text, encoding="utf-8")
            ignored = ",".join(filter(None, (_IGNORED, _MACROS.get(patch.slug))))
            ignoring.setdefault(ignored, []).append(mail)
    found = []
    for ignored, files in ignoring.items():
        words = [tree / SCRIPTS[0], *_OPTIONS, "--ignore", ignored]
        told = [
            " ".join(map(str, words[1:])).encode(),
            *((tree / name).read_bytes() for name in SCRIPTS),
        ]
        clean = {mail: _CLEAN / _hash([*told, _undated(mail)]) for mail in files}
        new = [mail for mail in files if not clean[mail].exists()]
        said = _said([*words, *new]) if new else []
        found += said
        if not said:
            _CLEAN.mkdir(parents=True, exist_ok=True)
            for mail in new:
                clean[mail].touch()
    return found


def _undated(mail):
    return re.sub(rb"^Date: .*\n", b"", mail.read_bytes(), count=1, flags=re.M)


def _hash(parts):
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _said(words):
    done = subprocess.run(["perl", *words], capture_output=True, encoding="utf-8", check=False)
    # It ends with 1 for a complaint. An old one has today's perl warn of it.
    failed = done.returncode not in (0, 1)
    return [line for line in (done.stderr if failed else done.stdout).splitlines() if line.strip()]


def main():
    """Print what is wrong, and what could not be looked at; whether all is well."""
    if which("perl") is None:
        print("checkpatch: skipped, it needs perl")
        return True
    good = True
    for track in map(Track.load, track_names()):
        found = sources(Cache.default(), track)
        if not found:
            print(
                f"checkpatch: track {track.name}: skipped, the cache has no source: "
                f"neve kernel build --track {track.name}"
            )
            continue
        version = found[-1].version
        with tempfile.TemporaryDirectory() as name:
            tree = unpack(found[-1], SCRIPTS, Path(name) / "linux")
            said = complaints(track.series, version, tree, Path(name))
        print(*said, sep="\n", end="\n" if said else "")
        print(f"checkpatch: track {track.name}, Linux {version}: {len(said)} complaints")
        good = good and not said
    return good


if __name__ == "__main__":
    sys.exit(not main())
