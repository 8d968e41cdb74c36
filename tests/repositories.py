# SPDX-License-Identifier: MIT
"""Git repositories of a small kernel, which a real make builds in milliseconds: an object a file of
arch/arm64/kvm, and an image of all of them."""

import subprocess

from harness.build.toolchain import Toolchain

MAKEFILE = """\
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
SOURCES = $(sort $(wildcard arch/arm64/kvm/*.c))
OBJECTS = $(SOURCES:%.c=$(O)/%.o)
.PHONY: allnoconfig
allnoconfig:
\t@cp $(KCONFIG_ALLCONFIG) $(O)/.config
Image: $(O)/arch/arm64/boot/Image
$(O)/%.o: %.c
\t@mkdir -p $(@D)
\t@! grep -n broken $< || (echo "$<:1: error: no"; exit 1)
\t@echo $< >> $(O)/compiled
\t@cp $< $@
.PHONY: always
always:
$(O)/arch/arm64/boot/Image: $(OBJECTS) always
\t@mkdir -p $(@D)
\t@cat $(OBJECTS) > $@
\t@echo map > $(O)/System.map
"""
FILES = {
    "Makefile": MAKEFILE,
    "arch/arm64/kvm/mmu.c": "int mmu;\n",
    "arch/arm64/kvm/switch.c": "int a;\nint b;\nint c;\nint d;\nint e;\n",
    ".gitignore": "*.o\n",
}


_SETTINGS = ("user.name=A", "user.email=a@example.org", "commit.gpgsign=false")


def git(folder, *words):
    """What git answers in `folder`."""
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    done = subprocess.run(
        ["git", *options, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class SmallKernel:
    """A repository in `path`."""

    def __init__(self, path, files=FILES):
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.commit("Linux", files)

    def git(self, *words):
        return git(self.path, *words)

    def commit(self, subject, files):
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def state(self):
        """All that is there, but for when files were read."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }


def fake_compiler(monkeypatch):
    """What a kernel needs of programs is there."""
    from harness.build.kernel import build as builds

    monkeypatch.setattr(Toolchain, "find", classmethod(lambda cls: cls("fake-", "fakecc 1.0")))
    monkeypatch.setattr(builds, "require", lambda program, package: program)
