# SPDX-License-Identifier: MIT
"""Completion in the shell: runs, playbooks, hosts, tracks, and what `--only` selects. A word that
can't be completed for any reason is left as it is."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from harness.errors import HarnessError

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _beginning(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def runs(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Runs in ./runs, the newest first, and `latest`; LABEL=RUN keeps its label."""
    label, separator, begun = incomplete.rpartition("=")
    folders = [path.parent.name for path in Path("runs").glob("*/metadata.json")]
    folders += [path.parent.name for path in Path("runs").glob("*/experiment.json")]
    names = dict.fromkeys(["latest", *sorted(folders, reverse=True)] if folders else [])
    found = [f"{label}{separator}{name}" for name in names if name.startswith(begun)]
    return _beginning(found, incomplete)


def playbooks(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Those that come with neve by name, and files."""
    from harness.model.shipped import shipped

    return [*_beginning(shipped(), incomplete), CompletionItem(incomplete, type="file")]


def hosts(
    context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Those of the inventory that the command line names, or else of ./lab.yaml."""
    from harness.model.inventory import Inventory

    with suppress(HarnessError, OSError):
        return _beginning(
            [host.name for host in Inventory.of(context.params.get("inventory")).hosts], incomplete
        )
    return []


def tracks(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The kernel lines."""
    from harness.model.track import track_names

    return _beginning(track_names(), incomplete)


def parts(
    _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What --only selects: `configuration=vm,benchmark=hypercall`."""
    from harness.model.playbook import Benchmark, Configuration

    before, comma, begun = incomplete.rpartition(",")
    words = [f"configuration={name}" for name in Configuration]
    words += [f"benchmark={name}" for name in Benchmark]
    found = [f"{before}{comma}{word}" for word in words if word.startswith(begun)]
    return _beginning(found, incomplete)
