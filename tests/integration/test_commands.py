# SPDX-License-Identifier: MIT
"""Quick commands, with a real cache."""

import re
import shlex
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, commands, text_of
from tests.integration.conftest import finish, neve

# A server, a run, a file that is not shipped
OF_THE_READERS_OWN = r"@|\bRUN\b|--host|--output| (?!playbooks/)\S+\.yaml"
QUICK = ("neve doctor", "neve plan", "neve runs", "neve kernel list", "neve kernel patches")


@pytest.mark.parametrize(
    "command",
    [
        each
        for each in dict.fromkeys(each for name in DOCUMENTS for each in commands(text_of(name)))
        if each.startswith(QUICK) and not re.search(OF_THE_READERS_OWN, each)
    ],
)
def test_quick_command_of_the_documents(artifacts, command, tmp_path, monkeypatch):
    (tmp_path / "gitconfig").write_text("[user]\nname = A Developer\nemail = dev@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))  # who signs patches off
    arguments = [word.replace("playbooks/", f"{tmp_path}/") for word in shlex.split(command)[1:]]
    (tmp_path / "fallback.yaml").write_text("configurations: [vm]\nbenchmarks: [hypercall]\n")
    done = finish(neve(*arguments, cwd=tmp_path), tmp_path)
    assert done.status == 0, done.output


@pytest.mark.parametrize(
    ("cpu", "complaint"),
    [
        ("cortex-m3000", "unable to find CPU model"),
        ("cortex-a15", "it is not a 64-bit processor"),
        ("max,nope=1", "Property 'max-arm-cpu.nope' not found"),
        ("neoverse-n1", None),
    ],
)
def test_processors_are_asked_of_qemu_itself(artifacts, tmp_path, cpu, complaint):
    (tmp_path / "p.yaml").write_text(
        f"configurations: [vm]\nbenchmarks: [hypercall]\nhosts: [{{cpu: '{cpu}'}}]\n",
        encoding="utf-8",
    )
    done = finish(neve("plan", "p.yaml", cwd=tmp_path), tmp_path)
    assert done.status == (2 if complaint else 0), done.output
    assert complaint is None or complaint in done.output
    assert Path("/dev/null").is_char_device()
