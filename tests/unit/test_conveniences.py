# SPDX-License-Identifier: MIT
"""What spares typing: completion, defaults of the user's own, -v and -q, --json, neve init."""

import json
import os
import re
import shutil
import subprocess
import sys

import click
import jsonschema
import pytest
import yaml

from harness import cli
from harness.model import playbook, schema
from harness.model.defaults import Defaults
from harness.model.inventory import Inventory, SshHostSpec, TcgHostSpec
from harness.model.playbook import Playbook
from harness.paths import PLAYBOOKS, ROOT
from harness.verbosity import verbosity
from tests.synthetic import write_run

NO_TABLE = {"shell", "schema", "completion"}  # a prompt, JSON anyway, a script


def leaves(command, path=()):
    """All commands that do something, with their names."""
    does = not isinstance(command, click.Group) or command.invoke_without_command
    if path and does:
        yield " ".join(path), command
    for name, each in getattr(command, "commands", {}).items():
        yield from leaves(each, (*path, name))


@pytest.mark.parametrize(("name", "command"), list(leaves(cli.cli)))
def test_every_command_prints_for_programs_and_can_be_quiet(name, command):
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--verbose", "--quiet"} <= options
    assert name in NO_TABLE or "--json" in options


# Completion


def completed(folder, line, shell="bash"):
    """What a shell is told after `line`."""
    words = line.split(" ")
    script = "import sys; sys.argv = ['neve']; from harness.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_NEVE_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.fixture
def lab(tmp_path):
    write_run(tmp_path / "runs", 1, {"hypercall": 1000.0})
    write_run(tmp_path / "runs", 2, {"hypercall": 1000.0})
    (tmp_path / "lab.yaml").write_text(
        "hosts: [{name: arm1, address: b}, {name: other, address: c}]"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("neve rep", ["plain,report"]),
        ("neve report ", ["plain,latest", "plain,night-002", "plain,night-001"]),
        ("neve report before=night-00", ["plain,before=night-002", "plain,before=night-001"]),
        ("neve run --resume la", ["plain,latest"]),
        ("neve plan fall", ["plain,fallback", "file,fall"]),
        ("neve plan fallback --host a", ["plain,arm1"]),
        ("neve kernel build --track v", ["plain,v4.10"]),
        (
            "neve plan fallback --only benchmark=virtual-",
            ["plain,benchmark=virtual-ipi", "plain,benchmark=virtual-eoi"],
        ),
        (
            "neve run fallback --only configuration=vm,benchmark=hy",
            ["plain,configuration=vm,benchmark=hypercall"],
        ),
        ("neve run fallback --inventory l", ["file,l"]),
        ("neve report --figure p", ["plain,pdf", "plain,png"]),
    ],
)
def test_words_are_completed(lab, line, offered):
    assert completed(lab, line) == offered


def test_a_damaged_inventory_completes_nothing(lab):
    (lab / "lab.yaml").write_text("hosts: [")
    assert completed(lab, "neve plan fallback --host ") == []


# What each shell says of the script, and of `neve compare night-002 night`.
SHELLS = {
    "bash": (
        ". ./script; COMP_WORDS=(neve compare night-002 night); COMP_CWORD=3; "
        '_neve_completion neve; printf "%s\\n" "${COMPREPLY[@]}"',
        ["night-002", "night-001"],
    ),
    "zsh": (
        "autoload -U compinit; compinit -D; . ./script; print ${_comps[neve]}",
        ["_neve_completion"],
    ),
    "fish": (
        "source script; complete --do-complete 'neve compare night-002 night'",
        ["night-001", "night-002"],
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_by_our_script(lab, neve, shell):
    script = neve("completion", shell).stdout
    assert f"_NEVE_COMPLETE={shell}_complete" in script
    if shutil.which(shell) is None:
        pytest.skip(f"apt-get install {shell}")
    program = lab / "bin" / "neve"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from harness.cli import main; main()\n"
    )
    program.chmod(0o755)
    (lab / "script").write_text(script)
    command, offered = SHELLS[shell]
    done = subprocess.run(
        [shell, "-c", command],
        cwd=lab,
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == offered, done.stderr


# Defaults


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes the user's defaults."""
    for name in ("NEVE_CACHE", "NEVE_DATABASE", "NEVE_DEBIAN_MIRROR", "NEVE_KERNEL_MIRROR"):
        monkeypatch.setenv(name, "")  # what is set is as before afterwards
    folder = tmp_path / "home" / ".config" / "neve"
    folder.mkdir(parents=True)

    def write(text):
        (folder / "config.yaml").write_text(text)
        return folder / "config.yaml"

    return write


def test_defaults_are_those_of_options_and_of_the_environment(config, neve, tmp_path):
    file = config(
        "cache: store\ninventory: mine.yaml\nwait: 5\ndatabase: h.sqlite\nverbosity: -1\n"
    )
    (file.parent / "mine.yaml").write_text("hosts: [{name: arm7, address: a}]")
    (tmp_path / "p.yaml").write_text(
        "hosts: [arm7]\nconfigurations: [vm]\nbenchmarks: [hypercall]\n"
    )
    done = neve("plan", "p.yaml", "--json")
    assert json.loads(done.stdout)["cells"] == ["arm7/vm/1/hypercall"], done.stderr
    assert os.environ["NEVE_CACHE"] == str(file.parent / "store")
    assert os.environ["NEVE_DATABASE"] == "h.sqlite"
    assert verbosity() == -1
    write_run(tmp_path / "runs", 1, {"hypercall": 1000.0})
    assert neve("history", "import").returncode == 0
    assert (tmp_path / "h.sqlite").is_file() and not (tmp_path / "runs/history.sqlite").exists()


def test_what_is_nearer_goes_before_defaults(config, neve, tmp_path):
    config("inventory: mine.yaml\ndatabase: h.sqlite\n").with_name("mine.yaml").write_text(
        "hosts: [{name: arm7, address: a}]"
    )
    (tmp_path / "lab.yaml").write_text("hosts: [{name: arm8, address: a}]")
    (tmp_path / "p.yaml").write_text(
        "hosts: [arm8]\nconfigurations: [vm]\nbenchmarks: [hypercall]\n"
    )
    assert neve("plan", "p.yaml").returncode == 0, "lab.yaml of this folder"
    (tmp_path / "lab.yaml").rename(tmp_path / "elsewhere.yaml")
    assert "host arm8 is not in the inventory" in neve("plan", "p.yaml").stderr
    assert neve("plan", "p.yaml", "--inventory", "elsewhere.yaml").returncode == 0
    write_run(tmp_path / "runs", 1, {"hypercall": 1000.0})
    assert neve("history", "import", NEVE_DATABASE="e.sqlite").returncode == 0
    assert (tmp_path / "e.sqlite").is_file() and not (tmp_path / "h.sqlite").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cache: [", "is not YAML"),
        ("wait: yes", "means different things in different versions of YAML"),
        ("wait: soon", "wait: expected a number, not 'soon'"),
        ("inventroy: x", "inventroy: unknown key"),
        ("verbosity: 3", "verbosity: must be at most 2, not 3"),
        ("cache: ~nosuch/x", "cache: ~nosuch/x is in no home folder"),
        ("- a", "a configuration file is a mapping of keys to values"),
    ],
)
def test_wrong_defaults_are_one_clear_line(config, neve, text, said):
    file = config(text)
    done = neve("runs")
    assert done.returncode == 2
    assert done.stderr.startswith(f"neve: {file}") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert neve("runs", "--help").returncode == 2, "not as if there were none"


def test_another_file_is_named_by_the_environment(neve, tmp_path):
    done = neve("runs", NEVE_CONFIG=str(tmp_path / "none.yaml"))
    assert (done.returncode, "none.yaml: no such file" in done.stderr) == (2, True)
    (tmp_path / "own.yaml").write_text("verbosity: 1\n")
    assert neve("runs", NEVE_CONFIG=str(tmp_path / "own.yaml")).returncode == 0
    assert verbosity() == 1


def test_schema_of_defaults_is_that_of_the_model():
    known = schema.schema("config")
    assert set(known["properties"]) == set(Defaults.model_fields)
    jsonschema.validate({"cache": "x", "wait": 3, "check": True}, known)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"wait": "3"}, known)


# Verbosity


def test_verbose_tells_the_programs_and_quiet_no_progress(neve, tmp_path):
    repository = tmp_path / "a.git"
    subprocess.run(["git", "init", "-q", "--bare", repository], check=True)
    for words in (("-v", "kernel", "import", repository), ("kernel", "import", repository, "-v")):
        said = neve(*words).stderr
        assert re.search(r"^\+ \S*git .*a\.git", said, re.M), said
        os.environ["NEVE_VERBOSITY"] = ""
    assert "+ " not in neve("kernel", "import", repository).stderr


def test_commands_that_may_have_secrets_in_them_are_not_told(capsys, monkeypatch):
    from harness.process import run

    monkeypatch.setenv("NEVE_VERBOSITY", "2")
    run(["true", "-P", "secret"], private=True)
    run(["true", "shown"])
    assert capsys.readouterr().err == "+ true …\n+ true shown\n"


@pytest.mark.parametrize(("level", "said"), [(-1, ""), (0, "    ok  build  0.0 s\n")])
def test_progress_is_quiet_if_asked_to_be(level, said, monkeypatch, capsys):
    from harness.progress import Progress

    monkeypatch.setenv("NEVE_VERBOSITY", str(level))
    with Progress().stage("build"):
        pass
    assert capsys.readouterr().err == said


# neve init


def uncommented(text, indent=""):
    """The same with every key that is an example, one a variant."""
    return re.findall(rf"^{indent}# (\w+): (.+?)(?: {{2,}}#.*)?$", text, re.M)


def test_init_writes_what_is_valid_and_overwrites_nothing(neve, tmp_path):
    done = neve("init", "new", "--json")
    assert json.loads(done.stdout)["written"] == ["new/playbook.yaml", "new/lab.yaml"]
    book = playbook.load(tmp_path / "new/playbook.yaml")
    assert playbook.plan(book)
    assert len(Inventory.load(tmp_path / "new/lab.yaml").hosts) == 2
    before = (tmp_path / "new/lab.yaml").read_bytes()
    (tmp_path / "new/playbook.yaml").unlink()
    again = neve("init", "new")
    assert again.returncode == 2
    assert "new/lab.yaml is there already" in again.stderr
    assert not (tmp_path / "new/playbook.yaml").exists()
    assert (tmp_path / "new/lab.yaml").read_bytes() == before


def test_every_key_of_a_playbook_is_in_the_one_that_init_writes():
    text = (PLAYBOOKS / "templates" / "playbook.yaml").read_text()
    known = yaml.safe_load(text)
    examples = uncommented(text)
    assert set(known) | {key for key, _ in examples} == set(Playbook.model_fields)
    assert set(known["hosts"][0]) == set(TcgHostSpec.model_fields)
    for key, value in examples:
        given = {**known, key: yaml.safe_load(value)}
        if key == "boots":
            del given["repetitions"]
        if key == "payload":
            given["benchmarks"] = ["payload"]
        assert playbook.validate(given, key)


def test_every_key_of_a_server_is_in_the_inventory_that_init_writes():
    text = (PLAYBOOKS / "lab.yaml").read_text()
    first, second = yaml.safe_load(text)["hosts"]
    examples = uncommented(text, "    ")
    assert {*first, *second, *(key for key, _ in examples)} == set(SshHostSpec.model_fields)
    for key, value in examples:
        given = {**first, key: yaml.safe_load(value)}
        if given.get("boot") == "entry":
            given["entry"] = "grub-reboot neve"
        if key == "entry":
            given["boot"] = "entry"
        assert Inventory.model_validate({"hosts": [given]})
