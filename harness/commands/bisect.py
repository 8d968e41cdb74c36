# SPDX-License-Identifier: MIT
"""`neve bisect`."""

import json
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.build.artifacts import build_all
from harness.build.kernel.applying import DoesNotApplyError
from harness.build.kernel.bisection import Bisection, Mark
from harness.build.kernel.build import DoesNotBuildError
from harness.build.kernel.choice import looked_up
from harness.build.kernel.config import LostOptionsError
from harness.build.kernel.revision import Revision
from harness.cache import Cache, write_atomically
from harness.commands.run import facts_of, reach, repeat_command
from harness.commands.session import Session
from harness.commands.steps import Found, Step
from harness.errors import GuestError, UserError
from harness.model.expectation import Expectation
from harness.model.kernel_choice import Level, repository_and_revision
from harness.model.playbook import Playbook, validate, with_kernels
from harness.model.sequence import difference
from harness.model.setup import Setup
from harness.model.track import Track
from harness.progress import Progress
from harness.results import report
from harness.results.experiment import Experiment
from harness.results.measured import Measured
from harness.results.store import RunFolder, new_folder

_REPOSITORY = "repository.git"
_TIMES = 5  # as long as the good end took, a step may take before it hangs
_LEAST_SECONDS = 60.0


def start(
    runs: Path,
    playbook: Playbook,
    ends: tuple[str, str],
    levels: Sequence[Level],
    expectations: Sequence[Expectation],
) -> Experiment:
    """A new bisection between the good and the bad of `ends`, each
    `repository@revision`, or of the bad one the revision alone. Raises UserError if they are none,
    or if the playbook has not what is expected."""
    if not expectations:
        raise UserError("--expect is missing: 'hypercall/nested-neve-vhe/traps <= 8', for example")
    narrowed = _narrowed(playbook, expectations)
    good, bad = _ends(Track.load(playbook.track), ends)
    asked = {
        "good": good.commit,
        "bad": bad.commit,
        "repository": str(_repository(ends[0])),
        "levels": [str(level) for level in levels],
        "expect": [expectation.text for expectation in expectations],
        "playbook": narrowed.model_dump(mode="json"),
        "repeat": repeat_command(),
    }
    found = Experiment.create(runs, "bisect", playbook.name, asked)
    try:
        Bisection.start(found.path / _REPOSITORY, good, bad)
    except BaseException:
        shutil.rmtree(found.path)
        raise
    return found


def _narrowed(playbook: Playbook, expectations: Sequence[Expectation]) -> Playbook:
    """What the expectations are about, of `playbook`."""
    wanted = _cells_of([each.text for each in expectations])
    for what, names in wanted.items():
        there = getattr(playbook, what)
        if missing := [name for name in names if name not in there]:
            raise UserError(f"--expect: the playbook has no {missing[0]}, but {', '.join(there)}")
    return playbook.model_copy(update=wanted)


def _cells_of(texts: Sequence[str]) -> dict[str, Any]:
    expectations = [Expectation.of(text) for text in texts]
    return {
        "configurations": tuple(dict.fromkeys(each.configuration for each in expectations)),
        "benchmarks": tuple(dict.fromkeys(each.benchmark for each in expectations)),
    }


def _repository(good: str) -> Path:
    named = repository_and_revision(good)
    if named is None:
        raise UserError(f"{good}: expected repository@revision")
    return Path(named[0]).expanduser().absolute()


def _ends(track: Track, ends: tuple[str, str]) -> tuple[Revision, Revision]:
    repository, found = _repository(ends[0]), []
    for end in ends:
        named = repository_and_revision(end)
        known = named is not None and Path(named[0]).expanduser().exists()
        choice = f"{repository}@{named[1] if named and known else end}"
        if named and known and Path(named[0]).expanduser().resolve() != repository.resolve():
            raise UserError(f"{end} is of another repository than {ends[0]}")
        revision = looked_up(track, choice)
        assert isinstance(revision, Revision), f"{choice} has an @"
        found.append(revision)
    if found[0].commit == found[1].commit:
        raise UserError(f"{ends[0]} and {ends[1]} are the same commit")
    return found[0], found[1]


class Search:
    """The bisection `experiment`, new or cut off."""

    def __init__(self, experiment: Experiment, wait: float) -> None:
        self.experiment = experiment
        self.folder, self.known = experiment.path, experiment.knows
        self.playbook = validate(self.known["playbook"], experiment.name)
        self.wait = wait
        self.progress = Progress()
        self.bisection = Bisection(self.folder / _REPOSITORY)
        self.expectations = [Expectation.of(text) for text in self.known["expect"]]

    @property
    def steps(self) -> list[Step]:
        """Those that have ended."""
        file = self.folder / "steps.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [Step(**json.loads(line)) for line in lines]

    def run(self) -> Found:
        """Go on until the first bad commit is found. Raises UserError if an end is not what it is
        said to be, GuestError if nobody can say what the good one is."""
        reach(self.playbook, self.folder, self.wait, self.progress)
        try:
            with self.experiment.kept():
                self._narrow_down()
        except BaseException:
            self.progress.note(f"go on: neve bisect --resume {self.folder.name}")
            raise
        write_atomically(self.folder / "bisect.log", self.bisection.log + "\n")
        suspects = self.bisection.suspects
        names = [self.bisection.told(commit) for commit in suspects]
        found = Found(self.folder, suspects, names, self.steps, self._difference(suspects))
        self.experiment.update(told=found.headline)
        return found

    def _narrow_down(self) -> None:
        self._check_end("good")
        self._check_end("bad")
        while not self.bisection.suspects:
            commit = self.bisection.current
            told = self.bisection.told(commit)
            left = self.bisection.estimate
            self.progress.note(f"about {left} step{'' if left == 1 else 's'} left: {told}")
            step = self._look(commit)
            self.bisection.mark(commit, step.mark)
            write_atomically(self.folder / "bisect.log", self.bisection.log + "\n")

    def _check_end(self, wanted: Mark) -> None:
        """The bad end may hide its figure, as one does that hangs; then its user is believed."""
        step = self._look(self.known[wanted])
        if step.mark == "skip" and wanted == "bad":
            self.progress.note("the bad end can't be looked at; it is taken for bad, as you say")
        elif step.mark != wanted:
            kind = GuestError if step.mark == "skip" else UserError
            raise kind(f"the {wanted} end is not {wanted}: {step}")

    def _look(self, commit: str) -> Step:
        """What `commit` is, as it was found before or by a run."""
        for step in self.steps:
            if step.commit == commit:
                return step
        started = time.monotonic()
        told = self.bisection.told(commit)
        mark, values, why, run = self._measured(commit)
        step = Step(commit, told, mark, values, why, round(time.monotonic() - started, 1), run)
        self.progress.note(str(step))
        with (self.folder / "steps.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(step)) + "\n")
        return step

    def _measured(self, commit: str) -> tuple[Mark, tuple[float | None, ...], str, str]:
        choice = f"{self.known['repository']}@{commit}"
        kernels = dict.fromkeys([Level(level) for level in self.known["levels"]], choice)
        setup = Setup.of(self._in_time(with_kernels(self.playbook, kernels)))
        cache = Cache.default()
        try:
            artifacts = build_all(cache, self.progress, setup)
        except (DoesNotApplyError, DoesNotBuildError, LostOptionsError) as error:
            return "skip", (), _line(error), ""
        path = new_folder(self.folder, commit[:12])
        folder = RunFolder.at(path, {**facts_of(cache, artifacts), "repeat": repeat_command()})
        session = Session(folder, artifacts, self.progress, wait=self.wait)
        session.plan()
        with session.kept():
            session.execute(session.left)
        with suppress(GuestError):  # none has passed
            report.write(folder)
        records = folder.records()
        values = tuple(each.value(records) for each in self.expectations)
        said = [each.holds(records) for each in self.expectations]
        errors = [record.error.partition("\n")[0] for record in records if not record.passed]
        mark: Mark = "bad" if False in said else "skip" if None in said else "good"
        return mark, values, "; ".join(dict.fromkeys(errors)), str(path.relative_to(self.folder))

    def _in_time(self, playbook: Playbook) -> Playbook:
        """With limits by what the good end took: a guest that hangs shall not take minutes."""
        first = next((step for step in self.steps if step.run and step.mark == "good"), None)
        if first is None:
            return playbook
        took = RunFolder.open(self.folder, first.run).metadata.durations
        names = {
            "boot_seconds": [name for name in took if name.endswith(": boot")],
            "benchmark_seconds": [
                name for name in took if name.endswith(tuple(f": {b}" for b in playbook.benchmarks))
            ],
        }
        limits = {
            limit: min(
                getattr(playbook, limit),
                max(_LEAST_SECONDS, _TIMES * max(took[name] for name in mine)),
            )
            for limit, mine in names.items()
            if mine
        }
        return playbook.model_copy(update=limits)

    def _difference(self, suspects: Sequence[str]) -> list[str]:
        """What the first bad commit has changed in trap sequences."""
        by_commit = {step.commit: step for step in self.steps}
        goods = [step for step in self.steps if step.mark == "good" and step.run]
        bad = by_commit.get(suspects[0])
        if len(suspects) != 1 or bad is None or not bad.run or not goods:
            return []
        before, after = (
            Measured.of(RunFolder.open(self.folder, step.run)).sequences
            for step in (goods[-1], bad)
        )
        return [
            f"{'/'.join(cell)}: {line}"
            for cell in before
            if cell in after
            for line in difference(before[cell], after[cell])
        ]


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
