# SPDX-License-Identifier: MIT
"""Downloads with curl: resumed where they were cut off, and kept only if their hash is right."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from harness.cache import file_sha256
from harness.errors import InfrastructureError, UserError
from harness.process import ProcessError, require, run

# curl's status when a server can't send only the rest of a file.
_NO_RANGES = (33, 36)


def fetch(urls: Sequence[str], sha256: str, folder: Path) -> tuple[Path, str]:
    """The file with `sha256` from the first of `urls` that has it: its path and that URL.

    Raises InfrastructureError if none answers, UserError if what came is another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / urls[0].rpartition("/")[2]
    part = folder / f"{sha256[:16]}.part"
    errors: list[str] = []
    damaged = False
    for url in urls:
        if not whole.exists():
            try:
                _curl(url, part)
            except ProcessError as error:
                errors.append(f"{urlsplit(url).netloc}: {error.complaint}")
                continue
            part.replace(whole)
        if file_sha256(whole) == sha256:
            return whole, url
        whole.unlink()
        damaged = True
        errors.append(f"{urlsplit(url).netloc}: what came has another SHA-256")
    kind = UserError if damaged else InfrastructureError
    raise kind("; ".join(errors))


def fetch_plain(url: str, folder: Path) -> Path:
    """The file at `url`, whatever is in it. Raises ProcessError if it can't be had."""
    path = folder / url.rpartition("/")[2]
    _curl(url, path)
    return path


def _curl(url: str, path: Path) -> None:
    command = [
        require("curl", "curl"),
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--connect-timeout",
        "20",
        "--speed-limit",
        "1",
        "--speed-time",
        "60",
        "--retry",
        "2",
        "--continue-at",
        "-",
        "--output",
        str(path),
        url,
    ]
    try:
        run(command)
    except ProcessError as error:
        if error.status not in _NO_RANGES:
            raise
        path.unlink(missing_ok=True)
        run(command)
