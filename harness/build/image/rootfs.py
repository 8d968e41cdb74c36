# SPDX-License-Identifier: MIT
"""Root file systems out of Debian packages, trimmed to the programs that are used."""

import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.build.debian import Debian
from harness.build.image import cpio, elf
from harness.cache import Cache, content_key, file_sha256
from harness.errors import InfrastructureError, UserError
from harness.paths import IMAGES, expanded
from harness.process import ProcessError, require, run

_VMM = "usr/bin/qemu-system-aarch64"
_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "usr/bin/sh": "busybox",
    "usr/lib/sftp-server": "openssh/sftp-server",
}
_FILES = {"etc/passwd": "root::0:0:root:/root:/bin/sh\n", "etc/shells": "/bin/sh\n"}


@dataclass(frozen=True)
class Roots:
    """Uncompressed initramfs images: the guest unpacks them by copying.

    `hypervisor` holds the VMM and an SSH server, for L0 and L1; `guest` a shell alone, for
    a Linux L2.
    """

    hypervisor: Path
    guest: Path

    @property
    def packages(self) -> list[str]:
        """File names of the Debian packages that they were made from."""
        return (self.hypervisor.parent / "packages.txt").read_text(encoding="utf-8").split()


def rootfs(cache: Cache, debian: Debian, vmm: str | None = None) -> Roots:
    """The root file systems, made once per recipe. `vmm` is another QEMU for guests: a suite of
    Debian's, or the path of a program. Raises UserError if that needs a library that is not in the
    root."""
    recipe, own = _recipe(debian, vmm)
    init = IMAGES / "rootfs" / "init"

    def make(folder: Path) -> None:
        tree = folder / "tree"
        (folder / "packages.txt").write_text(
            extract(cache, debian, recipe, tree, own), encoding="utf-8"
        )
        write_files(tree, _FILES)
        for name, target in _LINKS.items():
            (tree / name).symlink_to(target)
        shutil.copyfile(init, tree / "init")
        (tree / "init").chmod(0o755)
        whole = list(cpio.tree_entries(tree))
        for name, entries in (
            ("hypervisor.cpio", whole),
            ("guest.cpio", [entry for entry in whole if _in_guest(entry.name)]),
        ):
            with (folder / name).open("wb") as stream:
                cpio.write(stream, iter(entries))
        shutil.rmtree(tree)

    contents = {name: file_sha256(path) for name, path in own.items()}
    key = content_key(
        [
            recipe,
            debian.suites,
            init.read_text(encoding="utf-8"),
            _LINKS,
            _FILES,
            *([contents] if own else []),
        ]
    )
    folder = cache.artifact("rootfs", key, make)
    return Roots(folder / "hypervisor.cpio", folder / "guest.cpio")


def _recipe(debian: Debian, vmm: str | None) -> tuple[dict[str, Any], dict[str, Path]]:
    """What the root file system is made of, and the user's own programs by their names there."""
    recipe = debian.roots["rootfs"]
    if vmm is None:
        return recipe, {}
    if vmm not in debian.suites:
        return recipe, {_VMM: expanded(Path(vmm), "vmm")}
    packages = [
        f"{name.partition('/')[0]}/{vmm}" if name.startswith("qemu-") else name
        for name in recipe["packages"]
    ]
    return {**recipe, "packages": packages}, {}


def write_files(tree: Path, files: Mapping[str, str]) -> None:
    """Put `files` (name: text) into `tree`."""
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")


def _in_guest(name: str) -> bool:
    return name in {
        "usr",
        "usr/bin",
        "usr/sbin",
        "usr/bin/busybox",
        "etc",
        "init",
        *_LINKS,
        *_FILES,
    }


def l1_initramfs(cache: Cache, root: Path, images: Mapping[str, Path]) -> Path:
    """The root file system with `images` (name: file) below /images, for its own guests."""

    def make(folder: Path) -> None:
        with (folder / "l1.cpio").open("wb") as stream:
            with root.open("rb") as base:
                shutil.copyfileobj(base, stream)
            cpio.write(stream, _image_entries(images))

    contents = {name: file_sha256(path) for name, path in images.items()}
    key = content_key([file_sha256(root), contents])
    return cache.artifact("l1-initramfs", key, make) / "l1.cpio"


def _image_entries(images: Mapping[str, Path]) -> Iterator[cpio.ArchiveMember]:
    yield cpio.ArchiveMember("images", stat.S_IFDIR | 0o755)
    for name, path in sorted(images.items()):
        yield cpio.ArchiveMember(f"images/{name}", stat.S_IFREG | 0o644, path.read_bytes())


def tools(cache: Cache, debian: Debian) -> Path:
    """Folder with the emulator and its libraries (see `harness.build.image.emulator`)."""
    recipe = debian.roots["tools"]

    def make(folder: Path) -> None:
        packages = extract(cache, debian, recipe, folder / "root")
        (folder / "packages.txt").write_text(packages, encoding="utf-8")

    return cache.artifact("tools", tools_folder(cache, debian).name, make)


def tools_folder(cache: Cache, debian: Debian) -> Path:
    """Where `tools` is, or will be."""
    return cache.artifacts / "tools" / content_key([debian.roots["tools"], debian.suites])


def extract(
    cache: Cache,
    debian: Debian,
    recipe: dict[str, Any],
    into: Path,
    own: Mapping[str, Path] | None = None,
) -> str:
    """Put the recipe's programs and their libraries into `into`, some of them the user's `own`; say
    what was installed."""
    with tempfile.TemporaryDirectory(prefix="neve-root-", dir=into.parent) as temporary:
        whole = Path(temporary) / "root"
        packages = unpack(cache, debian, recipe, whole)
        for name, path in (own or {}).items():
            shutil.copyfile(path, whole / name)
        try:
            programs = elf.closure(whole, recipe["programs"])
        except elf.NoLibraryError as error:
            if not own:
                raise
            raise UserError(f"vmm: {error}: link it statically (./configure --static)") from error
        loaders = {
            loader for name in recipe["programs"] if (loader := elf.interpreter(whole / name))
        }
        for name in sorted(programs):
            _copy(whole / name, into / name)
        for loader in loaders:
            inside = "usr" + loader
            _copy((whole / inside).resolve(), into / inside)
        return packages


def unpack(cache: Cache, debian: Debian, recipe: dict[str, Any], into: Path) -> str:
    """Put the recipe's packages, and those that they depend on, whole into `into`; say which."""
    log = cache.log(f"mmdebstrap-{recipe['architecture']}")
    try:
        run(
            [
                require("mmdebstrap", "mmdebstrap"),
                "--variant=extract",
                "--mode=chrootless",  # nothing is run in it, so no privilege is needed
                f"--architectures={recipe['architecture']}",
                "--include=" + ",".join(recipe["packages"]),
                '--aptopt=APT::Install-Recommends "false"',
                "--skip=cleanup/apt,check/chrootless",
                debian.suites[0],
                str(into),
                "-",
            ],
            stdin=debian.sources(recipe.get("components", ["main"])).encode(),
            log=log,
        )
    except ProcessError as error:
        raise InfrastructureError(
            f"mmdebstrap could not make the {recipe['architecture']} root: {error.tail}\nlog: {log}"
        ) from error
    return _installed(into)


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(stat.S_IMODE(source.stat().st_mode) | stat.S_IRUSR)


def _installed(root: Path) -> str:
    """`package version` lines of the archives that were unpacked."""
    names = (path.name for path in root.glob("var/cache/apt/archives/*.deb"))
    return "".join(f"{name}\n" for name in sorted(names))
