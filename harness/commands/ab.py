# SPDX-License-Identifier: MIT
"""`neve ab`."""

import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from harness.build.artifacts import build_all
from harness.cache import Cache
from harness.commands.run import facts_of, reach, repeat_command
from harness.commands.session import Session, facts_in_common
from harness.errors import GuestError, InfrastructureError, UserError
from harness.model.inventory import TcgHostSpec
from harness.model.playbook import Cell
from harness.model.setup import Setup
from harness.progress import Progress
from harness.results import report
from harness.results.experiment import Experiment
from harness.results.measured import Measured
from harness.results.sides import Answer, answers
from harness.results.sides_report import Sides
from harness.results.store import RunFolder

_NAMES = ("before", "after")


def ab(
    runs: Path,
    setups: tuple[Setup, Setup],
    vary: str,
    values: tuple[str, str],
    effect: float,
    *,
    resume: str | None = None,
    wait: float = 0,
) -> tuple[Path, Sides]:
    """Measure both sides by turns, each in a run of its own below one folder, and judge them: the
    folder, and what was found. `resume` names the folder of an experiment that was cut off."""
    cache, progress = Cache.default(), Progress()
    experiment = _resumed(runs, resume, vary, values) if resume else None
    processors = reach(setups[1].playbook, runs, wait, progress)
    artifacts = [build_all(cache, progress, setup) for setup in setups]
    facts = [{**facts_of(cache, each), "processors": processors} for each in artifacts]
    if experiment is None:
        asked = {"vary": vary, "values": values, "repeat": repeat_command()}
        experiment = Experiment.create(runs, "ab", setups[0].playbook.name, asked)
    folder = experiment.path
    sessions = [
        Session(_side(folder, name, known), made, progress, wait=wait)
        for name, known, made in zip(_NAMES, facts, artifacts, strict=True)
    ]
    with ExitStack() as stack:
        stack.enter_context(experiment.kept())
        for session, resumed_by in zip(sessions, (experiment.resume, ""), strict=True):
            session.plan()
            stack.enter_context(session.kept(resumed_by))
        for session, cells in turns(sessions, zlib.crc32(folder.name.encode())):
            session.execute(cells)
    for session in sessions:
        with suppress(GuestError):  # none has passed: the sides say so
            report.write(session.folder)
    found = judged(folder, vary, values, effect)
    found.write(folder)
    experiment.update(told=found.headline)
    return folder, found


def judged(folder: Path, vary: str, values: tuple[str, str], effect: float) -> Sides:
    """What both runs below `folder` say together."""
    before, after = (
        Measured.of(RunFolder.open(folder, f"{folder.name}-{name}")) for name in _NAMES
    )
    steady = [
        str(host.get("name"))
        for host in before.metadata.playbook.get("hosts", ())
        if host.get("kind") == "tcg" and before.of_operations
    ]
    cells = answers(before, after, effect, steady=steady)
    return Sides(vary, values, effect, before, after, cells)


def turns(sessions: Sequence[Session], seed: int) -> Iterator[tuple[Session, list[Cell]]]:
    """What is left of both sides, boot by boot: the sides take turns, and chance says which is
    first. Where two boots are equal each side is one turn, of machines that run at once."""
    chance = random.Random(seed)
    left = [session.left for session in sessions]
    if _steady(sessions[0]):
        yield from (
            (session, cells) for session, cells in zip(sessions, left, strict=True) if cells
        )
        return
    for boot in dict.fromkeys(_boot(sessions[0], cell) for cells in left for cell in cells):
        order = list(zip(sessions, left, strict=True))
        chance.shuffle(order)
        for session, cells in order:
            mine = [cell for cell in cells if _boot(session, cell) == boot]
            if mine:
                yield session, mine


def _steady(session: Session) -> bool:
    """Whether two boots of each host are the same."""
    playbook = session.artifacts.setup.playbook
    return all(playbook.exact(host) for host in playbook.hosts)


def _boot(session: Session, cell: Cell) -> tuple[Any, ...]:
    """Names the boot that a cell is in: of a repetition or, on an emulated machine, which is booted
    for each of them, of a configuration."""
    hosts = session.artifacts.setup.playbook.hosts
    alone = all(isinstance(host, TcgHostSpec) for host in hosts)
    return (cell.repetition, cell.configuration) if alone else (cell.repetition,)


def _side(folder: Path, name: str, facts: dict[str, Any]) -> RunFolder:
    """The run of a side, new or as it was left. Raises UserError if that is of something else."""
    path = folder / f"{folder.name}-{name}"
    if not path.exists():
        return RunFolder.at(path, {**facts, "repeat": repeat_command()})
    run = RunFolder.open(folder, path.name)
    if changed := facts_in_common(run.metadata.written(), facts):
        raise UserError(
            f"--resume {folder.name}: the {changed} of the side {name} is not the one that it "
            "began with; start anew"
        )
    return run


def _resumed(runs: Path, name: str, vary: str, values: tuple[str, str]) -> Experiment:
    found = Experiment.open(runs, name, "ab")
    if (found.knows["vary"], tuple(found.knows["values"])) != (vary, values):
        raise UserError(f"--resume {name}: it compares something else: {found.knows['repeat']}")
    return found


def require_no_worse(found: Sides) -> None:
    """Raise GuestError if the second side is slower or failed, InfrastructureError if nobody can
    say so yet."""
    if found.answer in (Answer.SLOWER, Answer.FAILED):
        raise GuestError(found.headline)
    if found.answer is Answer.UNSURE:
        raise InfrastructureError(
            f"{found.headline}: more --boots, or a larger --effect, may decide it"
        )
