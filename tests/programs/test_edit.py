# SPDX-License-Identifier: MIT
"""A series as a git repository and back, with real git and GNU patch on a small tree."""

import hashlib
import subprocess
import tarfile

import pytest

from harness.build.kernel import message
from harness.build.kernel.applying import apply_series
from harness.build.kernel.edit import edit
from harness.build.kernel.patches import render
from harness.build.kernel.save import save
from harness.build.kernel.source import Source
from harness.cache import file_sha256
from harness.errors import UserError
from harness.model.origin import ReleaseOrigin
from harness.model.series import PatchSeries
from harness.model.track import Track

LINES = [f"  line {number}" for number in range(1, 41)]
TREE = {
    "Makefile": "all:\n",
    "arch/arm64/kvm.c": "\n".join(LINES) + "\n",
    ".gitignore": "*.o\n",
    "blob.o": "binary\n",
}
TOML = """\
manifest = "manifest.sha256"
patches = [
    # What v1 has wrong
    { name = "0001-first" },
    { name = "0002-word", adds = [
        "arch/arm64/table.h",
    ] },
    { name = "0003-slow", when = { fast = false } },
    { name = "0004-last", adds = [
        "arch/arm64/new.c",
    ] },
]

[parameters.word]
type = "choice"
values = ["uno", "un"]
default = "uno"

[parameters.fast]
type = "bool"
default = true
"""


def patch(subject, *hunks):
    """A patch of kvm.c: (first line, line that is changed, what it becomes)."""
    text = f"Subject: {subject}\n\nBecause.\n---\n"
    text += "diff --git a/arch/arm64/kvm.c b/arch/arm64/kvm.c\n"
    text += "--- a/arch/arm64/kvm.c\n+++ b/arch/arm64/kvm.c\n"
    for number, new in hunks:
        context = [f" {line}\n" for line in LINES[number - 4 : number + 3]]
        context[3:4] = [f"-{LINES[number - 1]}\n", f"+  {new}\n"]
        text += f"@@ -{number - 3},7 +{number - 3},7 @@\n" + "".join(context)
    return text


FILES = {
    "series.toml": TOML,
    "manifest.sha256": "# of what it changes\n" + "0" * 64 + "  arch/arm64/kvm.c\n",
    "0001-first.patch": patch("kvm: First", (5, "first")),
    "0002-word.patch.j2": "{## a comment ##}\n"
    + patch("kvm: Word", (12, "{{ word }}"), (25, "word")),
    "0003-slow.patch": patch("kvm: Slow", (18, "slow")),
    "0004-last.patch": patch("kvm: Last", (32, "last")),
    "files/arch/arm64/table.h.j2": (
        "{## a comment ##}\n/* Table */\n#define WORD {{ word }}\n\n#define A 1\n"
    ),
    "files/arch/arm64/new.c": "int new;\n",
}


@pytest.fixture(autouse=True)
def _user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GIT_CONFIG_GLOBAL", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".gitconfig").write_text(
        "[user]\nname = A Developer\nemail = dev@example.org\n"
        # None of this is to change what is laid out and saved.
        "[core]\nautocrlf = true\n[commit]\ngpgSign = true\n[diff]\nnoprefix = true\n"
        "context = 1\nrenames = copies\n"
    )


@pytest.fixture
def series(tmp_path):
    folder = tmp_path / "series"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    sha256 = hashlib.sha256(TREE["arch/arm64/kvm.c"].encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"# of what it changes\n{sha256}  arch/arm64/kvm.c\n")
    return folder


@pytest.fixture
def source(tmp_path):
    for name, text in TREE.items():
        (tmp_path / "linux" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "linux" / name).write_text(text)
    archive = tmp_path / "linux.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "linux", "linux")
    return Source("v1", "1.0.0", file_sha256(archive), "a test", archive)


def track(folder, name="v1"):
    origin = ReleaseOrigin("1.0.0", "", (), "", "")
    return Track(name, origin, (), PatchSeries.load(folder))


@pytest.fixture
def lay_out(series, source, tmp_path):
    def laid_out(name="repository", **chosen):
        loaded = PatchSeries.load(series)
        folder = tmp_path / name
        edit(source, loaded, loaded.values(chosen), folder)
        return folder

    return laid_out


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "commit.gpgSign=false", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def subjects(folder):
    return git(folder, "log", "--reverse", "--format=%s").splitlines()


def change(folder, old, new, file="arch/arm64/kvm.c"):
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def amend(folder, subject, *change_of):
    """Change a commit where it stands, as one does by `git rebase -i` with an edit."""
    commit = git(folder, "log", "--format=%H", f"--grep=^{subject}$").strip()
    tip = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "checkout", "-q", commit)
    change(folder, *change_of)
    git(folder, "commit", "-qa", "--amend", "--no-edit")
    new = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "checkout", "-q", "series")
    git(folder, "rebase", "-q", "--onto", new, commit)
    assert git(folder, "rev-parse", "HEAD").strip() != tip


def commit(folder, text):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", text)


def reorder(folder, *order):
    """Rebuild the branch of commits with these subjects, in this order."""
    found = {
        line.partition(" ")[2]: line.partition(" ")[0]
        for line in git(folder, "log", "--format=%H %s").splitlines()
    }
    root = git(folder, "rev-list", "--max-parents=0", "HEAD").strip()
    git(folder, "reset", "-q", "--hard", root)
    for subject in order:
        git(folder, "cherry-pick", found[subject])


@pytest.mark.parametrize(
    "chosen", [{}, {"word": "un"}, {"fast": "false"}, {"word": "un", "fast": "false"}]
)
def test_tree_is_what_a_build_applies(series, lay_out, tmp_path, chosen):
    folder = lay_out(**chosen)
    loaded = PatchSeries.load(series)
    tree = tmp_path / "tree" / "src"
    for name, text in TREE.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    apply_series(tree, "1.0.0", render(loaded, "1.0.0", loaded.values(chosen)))
    assert contents(folder) == contents(tree)
    assert git(folder, "status", "--porcelain", "--ignored") == ""
    root = git(folder, "rev-list", "--max-parents=0", "HEAD").strip()
    assert git(folder, "show", f"{root}:blob.o") == "binary\n"


def test_commits_are_the_users_and_say_which_patch_they_are(lay_out):
    folder = lay_out()
    assert subjects(folder) == ["Linux 1.0.0", "kvm: First", "kvm: Word", "kvm: Last"]
    assert git(folder, "log", "-1", "--format=%an <%ae>, %cn <%ce>%n%B") == (
        "A Developer <dev@example.org>, A Developer <dev@example.org>\n"
        "kvm: Last\n\nBecause.\n\nPatch: last\n\n"
    )


@pytest.mark.parametrize("chosen", [{}, {"word": "un", "fast": "false"}])
def test_unchanged_series_is_saved_byte_for_byte(series, lay_out, chosen):
    before = contents(series)
    saved = save(track(series), lay_out(**chosen))
    assert str(saved) == "nothing changed"
    assert contents(series) == before


def test_changed_commit_changes_its_file_and_no_other(series, lay_out):
    before = contents(series)
    folder = lay_out()
    amend(folder, "kvm: First", "first", "changed")
    assert str(save(track(series), folder)) == "changed 0001-first"
    before["0001-first.patch"] = before["0001-first.patch"].replace("+  first", "+  changed")
    assert contents(series) == before
    assert str(save(track(series), folder)) == "nothing changed"


def test_hunks_that_only_moved_are_no_change(series, lay_out):
    before = contents(series)
    folder = lay_out()
    amend(folder, "kvm: First", "first\n", "first\n  second\n")
    assert str(save(track(series), folder)) == "changed 0001-first"
    after = contents(series)
    assert {name for name in after if after[name] != before[name]} == {"0001-first.patch"}


def test_change_is_merged_into_the_template(series, lay_out):
    folder = lay_out(word="un")
    amend(folder, "kvm: Word", "\n  word\n", "\n  changed word\n")
    amend(folder, "kvm: Word", "A 1", "A 2", "arch/arm64/table.h")
    assert str(save(track(series), folder)) == "changed 0002-word"
    assert contents(series)["0002-word.patch.j2"] == FILES["0002-word.patch.j2"].replace(
        "+  word", "+  changed word"
    )
    assert contents(series)["files/arch/arm64/table.h.j2"] == FILES[
        "files/arch/arm64/table.h.j2"
    ].replace("A 1", "A 2")


@pytest.mark.parametrize(
    ("change_of", "place"),
    [
        (("  un\n", "  two\n"), r"0002-word\.patch\.j2:14"),
        (("WORD un", "WORD two", "arch/arm64/table.h"), r"files/arch/arm64/table\.h\.j2:3"),
    ],
)
def test_change_of_what_is_rendered_is_refused(series, lay_out, change_of, place):
    folder, before = lay_out(word="un"), contents(series)
    amend(folder, "kvm: Word", *change_of)
    with pytest.raises(UserError, match=rf"{place}: commit \w+ \(kvm: Word\) changes what the"):
        save(track(series), folder)
    assert contents(series) == before


def test_new_commit_gets_a_file_at_its_place(series, lay_out):
    folder = lay_out()
    git(folder, "checkout", "-q", "HEAD~1")
    change(folder, "line 2\n", "line two\n")
    (folder / "arch" / "arm64" / "more.c").write_text("int more;\n")
    (folder / "not-added").write_text("")
    git(folder, "add", "arch")
    git(
        folder,
        "commit",
        "-qm",
        'kvm: arm64: Fix a thing\n\nIt was broken.\n\nFixes: 1234567890ab ("x")',
    )
    git(folder, "rebase", "-q", "HEAD", "series")
    assert str(save(track(series), folder)) == (
        "new 0004-fix-a-thing\nrenamed 0004-last to 0005-last"
    )
    after = contents(series)
    assert after["0004-fix-a-thing.patch"].startswith(
        "Subject: kvm: arm64: Fix a thing\n\nIt was broken.\n\n"
        'Fixes: 1234567890ab ("x")\n---\ndiff --git a/arch'
    )
    assert after["files/arch/arm64/more.c"] == "int more;\n"
    assert after["0005-last.patch"] == FILES["0004-last.patch"]
    assert (
        '    { name = "0004-fix-a-thing", adds = [\n        "arch/arm64/more.c",\n'
        in after["series.toml"]
    )
    assert str(save(track(series), folder)) == "nothing changed"


def test_removed_and_reordered_commits(series, lay_out):
    folder = lay_out()
    reorder(folder, "kvm: Last", "kvm: Word")
    assert (
        str(save(track(series), folder))
        == (
            "removed 0001-first\nrenamed 0004-last to 0001-last\n"
            "renamed 0003-slow to 0003-slow".rpartition("\n")[0]
        )
    )
    after = contents(series)
    assert "0001-first.patch" not in after
    assert after["0001-last.patch"] == FILES["0004-last.patch"]
    assert [entry.name for entry in PatchSeries.load(series).entries] == [
        "0001-last",
        "0002-word",
        "0003-slow",
    ]
    assert "when = { fast = false }" in after["series.toml"]


def test_new_file_goes_with_its_commit(series, lay_out):
    folder = lay_out()
    reorder(folder, "kvm: First", "kvm: Word")
    assert "removed 0004-last" in str(save(track(series), folder))
    assert "files/arch/arm64/new.c" not in contents(series)


def test_manifest_follows_the_files_that_are_changed(series, lay_out):
    folder = lay_out()
    change(folder, "all:", "all: it", "Makefile")
    commit(folder, "kbuild: Say what")
    save(track(series), folder)
    assert contents(series)["manifest.sha256"].splitlines()[1:] == [
        f"{hashlib.sha256(TREE[name].encode()).hexdigest()}  {name}"
        for name in ("Makefile", "arch/arm64/kvm.c")
    ]


def test_change_that_another_variant_cannot_take_is_refused(series, lay_out):
    folder, before = lay_out(), contents(series)
    change(folder, "line 17\n", "seventeen\n")
    git(folder, "commit", "-qam", "kvm: Spell")
    reorder(folder, "kvm: Spell", "kvm: First", "kvm: Word", "kvm: Last")
    with pytest.raises(UserError, match=r"with word=uno, fast=false: 0004-slow\.patch does not"):
        save(track(series), folder)
    assert contents(series) == before


def test_others_stay_the_authors_of_their_commits(series, lay_out, source, tmp_path):
    folder = lay_out()
    change(folder, "line 2\n", "line two\n")
    git(folder, "commit", "-qam", "kvm: Theirs", "--author", "Jürgen Groß <jg@example.org>")
    save(track(series), folder)
    assert contents(series)["0005-theirs.patch"].startswith(
        "From: Jürgen Groß <jg@example.org>\nSubject: kvm: Theirs\n---\n"
    )
    loaded = PatchSeries.load(series)
    again = tmp_path / "again"
    edit(source, loaded, loaded.values({}), again)
    assert git(again, "log", "-1", "--format=%an, %cn") == "Jürgen Groß, A Developer\n"
    assert str(save(track(series), again)) == "nothing changed"


def test_name_of_another_user_or_place_makes_no_difference(series, lay_out, tmp_path):
    folder = lay_out()
    (tmp_path / ".gitconfig").write_text("")
    git(folder, "config", "user.name", "Another Developer")
    git(folder, "config", "user.email", "another@example.org")
    assert str(save(track(series), folder)) == "nothing changed"
    amend(folder, "kvm: First", "first", "changed")
    assert str(save(track(series), folder)) == "changed 0001-first"
    assert "From:" not in contents(series)["0001-first.patch"]


def uncommitted(folder):
    change(folder, "first", "changed")


def empty(folder):
    git(folder, "commit", "-q", "--allow-empty", "-m", "kvm: None")


def fixup(folder):
    change(folder, "first", "changed")
    commit(folder, "fixup! kvm: First")


def mode(folder):
    (folder / "Makefile").chmod(0o755)
    commit(folder, "kbuild: Execute")


def binary(folder):
    (folder / "blob.o").write_bytes(b"\0\1")
    commit(folder, "kvm: Blob")


def nothing_in_it(folder):
    (folder / "arch" / "empty.h").touch()
    commit(folder, "kvm: Add")


def merge(folder):
    git(folder, "checkout", "-q", "-b", "other", "HEAD~1")
    change(folder, "line 2\n", "line two\n")
    git(folder, "commit", "-qam", "kvm: Other")
    git(folder, "checkout", "-q", "series")
    git(folder, "merge", "-q", "--no-edit", "other")


def rebase(folder):
    git(folder, "-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "HEAD~1")


def diff_in_message(folder):
    change(folder, "first", "changed")
    commit(folder, "kvm: Say\n\nbefore\n---\nafter")


@pytest.mark.parametrize(
    ("do", "complaint"),
    [
        (uncommitted, r"has changes that are not committed: arch/arm64/kvm\.c"),
        (empty, r"\(kvm: None\) changes nothing"),
        (fixup, r"\(fixup! kvm: First\) waits for `git rebase -i --autosquash`"),
        (mode, r"\(kbuild: Execute\) changes the mode of a file"),
        (binary, r"\(kvm: Blob\) changes a binary file"),
        (nothing_in_it, r"\(kvm: Add\) adds or removes an empty file"),
        (merge, r"is a merge: rebase instead"),
        (rebase, r"is in the middle of a rebase"),
        (diff_in_message, r"\(kvm: Say\) has a line in its message that begins like a diff"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_a_series_is_refused(series, lay_out, do, complaint):
    folder, before = lay_out(), contents(series)
    do(folder)
    with pytest.raises(UserError, match=complaint):
        save(track(series), folder)
    assert contents(series) == before


def test_only_its_own_repository_is_taken(series, lay_out, tmp_path):
    folder = lay_out()
    (tmp_path / "empty").mkdir()
    for other in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(UserError, match="was not made by `neve kernel edit v1`"):
            save(track(series), other)
    with pytest.raises(
        UserError, match="was not made by `neve kernel edit v2`, but by that of track v1"
    ):
        save(track(series, "v2"), folder)


def test_folder_that_is_in_use_is_left_alone(series, lay_out, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine\n")
    with pytest.raises(UserError, match="used exists already"):
        lay_out("used")
    assert contents(tmp_path / "used") == {"file": "mine\n"}


def test_user_without_a_name_is_told_how_to_give_one(lay_out, tmp_path):
    (tmp_path / ".gitconfig").write_text("")
    with pytest.raises(UserError, match=r"git config --global user\.name"):
        lay_out()
    assert not [path for path in tmp_path.iterdir() if "repository" in path.name]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a\n", "a\n\nPatch: x\n"),
        ("a\n\nbody\n", "a\n\nbody\n\nPatch: x\n"),
        (
            "a\n\nbody\n\nSigned-off-by: A <a@b>\n",
            "a\n\nbody\n\nSigned-off-by: A <a@b>\nPatch: x\n",
        ),
        ("Fixes: a\n", "Fixes: a\n\nPatch: x\n"),
    ],
)
def test_trailer_joins_the_others(text, result):
    assert message.with_trailer(text, "Patch: x") == result
    assert message.without_name(result) == text
    assert message.plain(message.stored(text)) == text
