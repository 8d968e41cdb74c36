# SPDX-License-Identifier: MIT
"""`make` as a newcomer meets it: the real Makefile, with an apt and a pip that only take notes."""

import os
import shutil
import subprocess
import sys

import pytest

from harness.paths import ROOT

PYTHON = """#!/bin/sh
case "$*" in
*version_info*) test -z "$TOO_OLD" ;;
--version) echo "Python 3.10.12" ;;
"-c import ensurepip, venv") test -e "$NOTES.venv" ;;
"-m venv .venv")
	test -e "$NOTES.venv" || { echo "venv before apt" >> "$NOTES"; exit 1; }
	mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "venv" >> "$NOTES" ;;
"-m pip"*)
	lock=$(echo "$*" | grep -o 'requirements.*lock')
	echo "pip $lock user=$PIP_USER path=$PYTHONPATH target=$PIP_TARGET" >> "$NOTES"
	test -z "$NO_NETWORK" ;;
"-m compileall"*) ;;
*) exec {python} "$@" ;;
esac
"""
APT = """#!/bin/sh
echo "apt-get $1" >> "$NOTES"
sleep 0.2
case $1 in install) touch "$NOTES.venv" ;; esac
"""
TOOLS = {
    "python3": PYTHON,
    "python4": PYTHON,
    "apt-get": APT,
    "sudo": '#!/bin/sh\nexec "$@"\n',
    "dpkg-query": "#!/bin/sh\nprintf 'install ok installed'\n",
}


class Newcomer:
    def __init__(self, folder):
        self.checkout, self.notes = folder / "a checkout", folder / "notes"
        self.checkout.mkdir()
        for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout)
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name, text in TOOLS.items():
            (self.tools / name).write_text(
                text.replace("{python}", sys.executable), encoding="utf-8"
            )
            (self.tools / name).chmod(0o755)

    def make(self, *words, **env):
        """Status, output and what was noted."""
        self.notes.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", *words],
            cwd=self.checkout,
            check=False,
            encoding="utf-8",
            timeout=60,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                "HOME": "/nonexistent",
                "PATH": f"{self.tools}:{os.environ['PATH']}",
                "NOTES": str(self.notes),
                **env,
            },
        )
        noted = self.notes.read_text(encoding="utf-8").splitlines() if self.notes.exists() else []
        return done.returncode, done.stdout, noted

    @property
    def venv(self):
        return self.checkout / ".venv"


@pytest.fixture
def newcomer(tmp_path):
    return Newcomer(tmp_path)


def pip(lock):
    return [f"pip {each} user=0 path= target=" for each in (lock, "")]


PIP = pip("requirements-dev.lock")
FIRST = ["apt-get update", "apt-get install", "venv", *PIP]


@pytest.mark.parametrize("flags", ["", "-j8", "-j8 --shuffle=reverse"])
def test_system_packages_come_first(newcomer, flags):
    status, said, noted = newcomer.make("venv", MAKEFLAGS=flags)
    assert status == 0, said
    assert noted == FIRST
    assert newcomer.make("venv")[2] == []


def test_settings_for_others_lead_nowhere(newcomer):
    status, said, noted = newcomer.make(
        "venv", PIP_USER="1", PIP_TARGET="/x", PYTHONPATH="/elsewhere", PYTHONHOME="/nowhere"
    )
    assert status == 0, said
    assert noted == FIRST


def test_an_old_python_is_one_line_and_leaves_nothing(newcomer):
    status, said, noted = newcomer.make("venv", TOO_OLD="1")
    assert status == 2
    assert "Python 3.11 or newer is needed; python3 is Python 3.10.12. With another one: " in said
    assert noted == []
    assert not newcomer.venv.exists()
    assert "There is no python3.99" in newcomer.make("venv", "PYTHON=python3.99")[1]


@pytest.mark.parametrize(
    "change", ["another Python", "another lock file", "moved", "copied", "cut off"]
)
def test_what_fits_no_more_is_made_anew(newcomer, change):
    newcomer.make("venv")
    (newcomer.venv / "left over").touch()
    words = []
    match change:
        case "another Python":
            words = ["PYTHON=python4"]
            text = PYTHON.replace("{python}", f"{sys.executable} -X other").replace(
                "*) exec", "*sys.prefix*) echo other ;;\n*) exec"
            )
            (newcomer.tools / "python4").write_text(text, encoding="utf-8")
        case "another lock file":
            with (newcomer.checkout / "requirements.lock").open("a", encoding="utf-8") as lock:
                lock.write("# more\n")
        case "moved":
            newcomer.checkout = newcomer.checkout.rename(newcomer.checkout.with_name("moved"))
        case "copied":
            copy = newcomer.checkout.with_name("copy")
            shutil.copytree(newcomer.checkout, copy)
            newcomer.checkout = copy
        case "cut off":
            (newcomer.venv / ".installed").unlink()
    status, said, noted = newcomer.make("venv", *words)
    assert status == 0, said
    assert noted == ["venv", *PIP]
    assert not (newcomer.venv / "left over").exists()
    assert newcomer.make("venv", *words)[2] == []


def test_to_run_takes_less_than_to_develop(newcomer):
    """There is no neve to run, but by then its packages are there."""
    assert newcomer.make("reproduce")[2] == [*FIRST[:3], *pip("requirements.lock")]
    assert newcomer.make("reproduce")[2] == []
    (newcomer.venv / "kept").touch()
    assert newcomer.make("venv")[2] == PIP, "what develops is added"
    assert (newcomer.venv / "kept").exists()
    assert newcomer.make("venv")[2] == newcomer.make("reproduce")[2] == []
    shutil.rmtree(newcomer.venv)
    assert newcomer.make("reproduce", "venv")[2] == FIRST[2:], "what the one of them needs"


def test_another_checkout_s_environment_stays(newcomer, tmp_path):
    other = tmp_path / "theirs"
    other.mkdir()
    (other / "file").touch()
    newcomer.venv.symlink_to(other)
    assert newcomer.make("venv")[0] == 0
    assert not newcomer.venv.is_symlink()
    assert [path.name for path in other.iterdir()] == ["file"]


def test_what_could_not_be_installed_is_tried_again(newcomer):
    status, _, noted = newcomer.make("venv", NO_NETWORK="1")
    assert status == 2
    assert noted == FIRST[:-1]
    assert newcomer.make("venv")[2] == ["venv", *PIP]


@pytest.mark.parametrize("named", [None, "~/a cache", "{folder}/a cache"])
def test_what_is_left_is_told_with_how_to_remove_it(newcomer, tmp_path, named):
    home = tmp_path / "home"
    env = {"HOME": str(home)} | ({"NEVE_CACHE": named.format(folder=home)} if named else {})
    cache = home / "a cache" if named else home / ".cache" / "neve"
    cache.mkdir(parents=True)
    (cache / "kernel").write_bytes(b"x" * 3_000_000)
    left = [cache, *(newcomer.checkout / name for name in ("runs", "linux-v4.10"))]
    for folder in left[1:]:
        folder.mkdir()
    newcomer.venv.mkdir()
    status, said, _ = newcomer.make("clean", **env)
    assert status == 0 and not newcomer.venv.exists()
    assert f"left: {cache}, 2.9M: kernels, images" in said
    commands = [line.rpartition("; ")[2] for line in said.splitlines() if line.startswith("left")]
    for command in commands:
        subprocess.run(["sh", "-c", command], cwd=newcomer.checkout, check=True)
    assert not any(folder.exists() for folder in left)
    assert "left" not in newcomer.make("clean", **env)[1]
