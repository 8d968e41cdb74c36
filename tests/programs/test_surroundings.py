# SPDX-License-Identifier: MIT
"""The command in surroundings that nobody tidied up for it."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness import cli, process
from harness.errors import InfrastructureError, UserError
from harness.model.cell import CellRecord
from harness.paths import PLAYBOOKS, ROOT, refuse_foreign
from harness.progress import Progress
from harness.results.store import RunFolder
from tests.synthetic import measurement

NEVE = [sys.executable, "-m", "harness"]
FALLBACK = str(PLAYBOOKS / "fallback.yaml")


def start(tmp_path, *words, wrapper=(), **env):
    return subprocess.Popen(
        [*wrapper, *NEVE, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )


def ended(child):
    """Status, output, errors; none of them a traceback."""
    said, errors = child.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return child.returncode, said, errors


@pytest.mark.parametrize(
    "words",
    [
        ("plan", ""),
        ("plan", FALLBACK, "--only", ""),
        ("plan", FALLBACK, "--only="),
        ("run", FALLBACK, "--host", ""),
        ("run", FALLBACK, "--resume", ""),
        ("run", FALLBACK, "--only", "host=tcg", "--only", ""),
        ("history", "--only", ""),
        ("history", "report", "--output", ""),
        ("kernel", "build", "--set", ""),
        ("compare", "", ""),
        ("shell", "--level", "l1", "-c", ""),
    ],
)
def test_what_is_given_but_empty_is_refused(neve, words):
    done = neve(*words)
    assert done.returncode == 2
    assert "is empty: is a variable not set?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--payload-seconds", "-1"),
        ("--payload-seconds", "nan"),
        ("--wait", "-1"),
        ("--wait", "nan"),
    ],
)
def test_times_that_can_not_be_are_refused(neve, words):
    done = neve("run", FALLBACK, *words)
    assert done.returncode == 2
    assert f"Invalid value for '{words[0]}'" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "x" * 300), "can't be read: File name too long"),
        (("kernel", "patches", "--output", "/dev/null"), "/dev/null: a file is where a folder is"),
        (("kernel", "build", "--track", "../tracks/x"), "unknown track"),
        (("kernel", "build", "--version", "7.x"), "'7.x' is not a version of Linux"),
        (("kernel", "build", "--set", "a=b"), "unknown parameter 'a'"),
    ],
)
def test_wrong_words_are_the_user_s(neve, words, complaint):
    done = neve(*words)
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (17, 2),
        (20, 2),
        (21, 2),
        (13, 2),
        (1, 2),
        (30, 2),
        (36, 2),
        (40, 2),
        (28, 2),
        (5, 75),
        (2, 75),
    ],
)
def test_who_can_change_it_is_told_by_the_status(number, status):
    error = process.explain(OSError(number, os.strerror(number), "runs"))
    assert error.exit_code == status
    assert "runs" in str(error)
    assert isinstance(process.explain(OSError("odd")), InfrastructureError)


def test_a_program_that_may_not_run_is_the_user_s(tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    with pytest.raises(
        UserError, match="can't be executed: is its file system mounted with noexec"
    ):
        process.run([str(program)])


def test_proxies_reach_children_however_they_are_written(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("http_proxy", "http://small:1")
    monkeypatch.setenv("HTTP_PROXY", "http://capital:1")
    seen = process.run(["env"])
    assert {line for line in seen.splitlines() if "proxy=" in line} == {
        "https_proxy=http://proxy:1",
        "no_proxy=localhost",
        "http_proxy=http://small:1",
    }


@pytest.mark.parametrize("no_color", [None, "1"])
def test_no_color_means_no_control_codes(tmp_path, monkeypatch, no_color):
    monkeypatch.setenv("TERM", "xterm")
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        progress = Progress(Console(file=terminal, force_terminal=True, highlight=False))
        with progress.stage("boot"):
            pass
    said = (tmp_path / "terminal").read_text(encoding="utf-8")
    assert "ok  boot" in said
    assert ("\x1b" in said) == (no_color is None)


def test_an_interruption_says_no_more_than_is_true(tmp_path):
    os.mkfifo(tmp_path / "p.yaml")
    child = start(tmp_path, "plan", "p.yaml")
    with (tmp_path / "p.yaml").open("w", encoding="utf-8"):  # it has opened it, too
        time.sleep(1)  # until it waits in its read: a signal between the two may be lost
        child.send_signal(signal.SIGINT)
        status, _, errors = ended(child)
    assert (status, errors) == (130, "\nneve: interrupted\n")


@pytest.fixture
def nobody():
    """Starts commands as a user whom this machine does not know, without a home; files of ours
    are that user's."""
    wrapper = ("unshare", "--map-user=54321", "--map-group=54321", "env", "-u", "HOME")
    try:
        subprocess.run([*wrapper, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a name space of users is not allowed here")
    return wrapper


def several(tmp_path, nobody, *lines, **env):
    """As `nobody`, one command after the other in one process; `called` gives the status of one."""
    program = (
        "import os; from harness import cli\n"
        "def called(*words):\n"
        "    try: cli.main(list(words))\n"
        "    except SystemExit as ended: return ended.code\n"
        "    return 0\n"
    )
    done = subprocess.run(
        [*nobody, sys.executable, "-c", program + "\n".join(lines)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    return done.stdout, done.stderr


def test_somebody_whom_the_machine_does_not_know(tmp_path, nobody):
    said, errors = several(
        tmp_path,
        nobody,
        f"assert called('plan', {FALLBACK!r}) == 0",
        "os.environ['NEVE_CACHE'] = ''",
        f"assert called('plan', {FALLBACK!r}) == 2",
        "from harness.machine.host.lock import Record",
        "print(Record.ours('boot').owner)",
        NEVE_CACHE=str(tmp_path / "cache"),
    )
    assert "tcg/vm/1/hypercall" in said
    assert said.splitlines()[-1].startswith("54321@")
    assert len(errors.splitlines()) == 1
    assert errors.endswith("is in no home folder: there is no such user, or HOME is not set\n")


@pytest.fixture
def night(tmp_path):
    """The folder of a run."""
    folder = RunFolder.create(tmp_path / "runs", "night", {"track": "upstream", "repeat": "neve"})
    folder.append(
        CellRecord(
            "tcg/vm/1/hypercall",
            "passed",
            1.0,
            tuple(
                measurement(folder.id, 1000.0, host="tcg", metric=metric, unit=unit)
                for metric, unit in (("cost", "instructions"), ("traps", "exits"))
            ),
            ({"benchmark": "hypercall", "minimum": 990, "median": 1000, "p99": 1100},),
        )
    )
    return folder.path


def test_a_run_that_can_only_be_read_is_reported(tmp_path, nobody, night):
    before = sorted(path.name for path in night.iterdir())
    night.chmod(0o555)
    said, errors = several(
        tmp_path,
        nobody,
        f"assert called('report', {night.name!r}) == 0",
        f"assert called('report', {night.name!r}, '--json') == 0",
    )
    assert "| hypercall" in said
    assert '"benchmark": "hypercall"' in said
    assert errors.count("can only be read, so nothing was written") == 2
    assert sorted(path.name for path in night.iterdir()) == before


def reporting(name):
    """A process that reports a run at once, as it need load nothing before; its number."""
    child = os.fork()
    if child == 0:
        try:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                sys.stdout = sys.stderr = nowhere
                cli.main(["report", name])
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_reports_at_once(neve, night):
    assert neve("report", night.name).returncode == 0
    children = [reporting(night.name) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 3
    assert not list(night.glob(".*"))


def test_another_checkout_s_package_is_refused(tmp_path):
    refuse_foreign(Path("/usr/bin/neve"))
    refuse_foreign(ROOT / ".venv" / "bin" / "neve")
    copied = tmp_path / "copy" / ".venv" / "bin" / "neve"
    refuse_foreign(copied)  # the environment of another project, which has ours installed
    (tmp_path / "copy" / "kernel-patches").mkdir(parents=True)
    with pytest.raises(UserError, match=r"`make venv` in .*/copy makes its own"):
        refuse_foreign(copied)
    (tmp_path / "link").symlink_to(ROOT)
    refuse_foreign(tmp_path / "link" / ".venv" / "bin" / "neve")


def test_a_package_without_its_files_says_so(tmp_path):
    shutil.copytree(
        ROOT / "harness",
        tmp_path / "site" / "harness",
        ignore=shutil.ignore_patterns("__pycache__", "data"),
    )
    status, _, errors = ended(start(tmp_path, "plan", FALLBACK, PYTHONPATH=str(tmp_path / "site")))
    assert status == 2
    assert errors.endswith("harness/data/images is missing: install neve-harness again\n")


@pytest.mark.parametrize("module", ["harness", "neve"])
def test_an_older_python_is_one_line(tmp_path, module):
    older = (
        "import runpy, sys\nsys.version_info, sys.version = (3, 10, 13), '3.10.13 (main)'\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    child = start(tmp_path, wrapper=(sys.executable, "-c", older))
    assert ended(child) == (2, "", "neve: Python 3.11 or newer is needed; this is 3.10.13\n")


@pytest.mark.parametrize("name", ["neve.py", "harness/__init__.py", "harness/__main__.py"])
def test_an_older_python_can_read_as_far(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_a_package_of_the_same_name_is_not_ours(tmp_path):
    (tmp_path / "theirs" / "harness").mkdir(parents=True)
    (tmp_path / "theirs" / "harness" / "__init__.py").write_text(
        "raise SystemExit(9)\n", encoding="utf-8"
    )
    script = tmp_path / "neve"
    script.write_text("import sys\nfrom neve import main\nsys.exit(main())\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, "plan", FALLBACK],
        cwd=tmp_path,
        check=False,
        encoding="utf-8",
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'theirs'}:{ROOT}"},
    )
    assert done.returncode == 0, done.stderr
    assert "tcg/vm/1/hypercall" in done.stdout
