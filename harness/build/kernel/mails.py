# SPDX-License-Identifier: MIT
"""A series as mails, as `git send-email` sends and `git am` takes them."""

import re
import time
from collections.abc import Iterator, Sequence
from email.header import Header
from email.utils import formataddr, formatdate
from pathlib import Path

from unidiff.patch import PatchSet

from harness.build.kernel import message
from harness.build.kernel.patches import Patch
from harness.build.kernel.repository import Identity

COVER = "0000-cover-letter"
_COVER_TEXT = "cover-letter.txt"  # in the folder of a series: a subject, an empty line, the text
_WIDTH = 60


def mails(
    folder: Path, patches: Sequence[Patch], author: Identity, version: str
) -> Iterator[tuple[str, str]]:
    """(name, mail) of the series in `folder`: a cover letter if it has the text of one, then each
    patch, signed off by `author`."""
    total, now = len(patches), time.time()
    cover = folder / _COVER_TEXT
    if cover.exists() and patches:
        subject, _, body = cover.read_text(encoding="utf-8").partition("\n\n")
        text = (
            f"{body.strip()}\n\n{author.name} ({total}):\n"
            + "".join(f"  {_subject(patch)}\n" for patch in patches)
            + f"\n{diffstat(patches)}\n\nbased on Linux {version}\n"
        )
        yield COVER, _mail(author, now, f"[PATCH {0:0{len(str(total))}}/{total}] {subject}", text)
    for number, patch in enumerate(patches, start=1):
        place = f"[PATCH {number:0{len(str(total))}}/{total}] "
        plain = message.plain(patch.head)
        subject, _, body = message.with_trailer(plain, f"Signed-off-by: {author}").partition("\n\n")
        text = f"{body}---\n{diffstat([patch])}\n\n{_diff(patch)}"
        writer = message.author(patch.head)
        yield (
            f"{number:04d}-{patch.slug}",
            _mail(Identity.of(writer) if writer else author, now + number, place + subject, text),
        )


def diffstat(patches: Sequence[Patch]) -> str:
    """Lines added and removed by file, as `git diff --stat` shows them, summed up."""
    lines: dict[str, tuple[int, int]] = {}
    for patch in patches:
        for file in PatchSet(patch.text):
            added, removed = lines.get(file.path, (0, 0))
            lines[file.path] = (added + file.added, removed + file.removed)
    names = max(map(len, lines))
    most = max(*map(sum, lines.values()), 1)
    digits = len(str(most))
    scale = min(1.0, (_WIDTH if len(patches) > 1 else _WIDTH // 2) / most)
    shown = [
        f" {name:{names}} | {added + removed:{digits}} "
        f"{'+' * _bar(added, scale)}{'-' * _bar(removed, scale)}".rstrip()
        for name, (added, removed) in sorted(lines.items())
    ]
    sums = [sum(column) for column in zip(*lines.values(), strict=True)]
    words = [f"{len(lines)} file{'s' * (len(lines) != 1)} changed"]
    words += [
        f"{count} {word}{'s' * (count != 1)}({sign})"
        for count, word, sign in zip(sums, ("insertion", "deletion"), "+-", strict=True)
        if count
    ]
    return "\n".join([*shown, " " + ", ".join(words)])


def _bar(count: int, scale: float) -> int:
    return max(round(count * scale), 1) if count else 0


def _subject(patch: Patch) -> str:
    return message.plain(patch.head).partition("\n")[0]


def _diff(patch: Patch) -> str:
    return patch.text.partition("\n---\n")[2]


def _mail(author: Identity, seconds: float, subject: str, text: str) -> str:
    ascii_only = subject.isascii()
    head = [
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
        f"From: {formataddr((author.name, author.email))}",
        f"Date: {formatdate(seconds, localtime=True)}",
        f"Subject: {subject if ascii_only else Header(subject, 'utf-8').encode()}",
    ]
    if not text.isascii():
        head += [
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=UTF-8",
            "Content-Transfer-Encoding: 8bit",
        ]
    # The last line may be a context line that has only its leading blank.
    body = re.sub(r"\n+\Z", "", text)
    return "\n".join(head) + f"\n\n{body}\n-- \nneve\n\n"
