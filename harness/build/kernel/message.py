# SPDX-License-Identifier: MIT
"""Messages of patches: `Subject:` and text as a series stores them, plain as git has them."""

import re

_TRAILER = re.compile(r"[A-Z][A-Za-z-]*: \S|\(cherry picked |\[")
NAME = "Patch"  # the trailer that ties a commit to its patch


def plain(head: str) -> str:
    """A commit's message of a stored head, without its author."""
    subject, _, body = re.sub(r"\AFrom: .*\n", "", head).removeprefix("Subject: ").partition("\n")
    return "\n\n".join(filter(None, [subject.strip(), body.strip()])) + "\n"


def stored(text: str, author: str | None = None) -> str:
    """The head that is stored of a commit's message, of an `author` who is not the user."""
    first, _, body = text.strip().partition("\n\n")
    subject = " ".join(first.split())
    body = "\n".join(line.rstrip() for line in body.strip().split("\n"))
    origin = f"From: {author}\n" if author else ""
    return f"{origin}Subject: {subject}\n" + (f"\n{body}\n" if body else "")


def author(head: str) -> str | None:
    """Who wrote the patch, if its head says that."""
    match = re.match(r"From: (.*)\n", head)
    return match[1] if match else None


def with_trailer(text: str, trailer: str) -> str:
    """`text` with one trailer more, in the paragraph of those that it has."""
    text = text.rstrip("\n")
    last = text.rpartition("\n\n")[2] if "\n\n" in text else ""
    if trailer in last.split("\n"):
        return f"{text}\n"
    joined = last and all(_TRAILER.match(line) for line in last.split("\n"))
    return f"{text}\n{trailer}\n" if joined else f"{text}\n\n{trailer}\n"


def trailers(text: str, name: str) -> list[str]:
    """The values of the trailers `name`."""
    return re.findall(rf"^{name}: *(\S.*?) *$", text, re.M)


def without_name(text: str) -> str:
    """`text` without the trailer that ties it to a patch."""
    return re.sub(rf"^{NAME}: .*\n?", "", text, flags=re.M).rstrip("\n") + "\n"


def slug(text: str) -> str:
    """A patch's name from its subject: "KVM: arm64: Fix a thing" -> "fix-a-thing"."""
    subject = text.strip().partition("\n")[0]
    topic = subject.rpartition(": ")[2] or subject
    return "-".join(re.findall(r"[a-z0-9]+", topic.lower()))[:52].strip("-") or "patch"
