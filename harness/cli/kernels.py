# SPDX-License-Identifier: MIT
"""`neve kernel …`."""

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli import words
from harness.cli.options import AS_JSON, FILE, Group, print_json
from harness.paths import CHECKOUT


@click.group(cls=Group)
def kernel() -> None:
    """Build kernels, import sources, list what is in the cache, and edit patch series."""


_track = click.option("--track", default="upstream", show_default=True, shell_complete=words.tracks)
_set = click.option(
    "--set", "settings", multiple=True, metavar="K=V", help="A parameter of the patch series."
)


@kernel.command("build")
@_track
@click.option("--version", "wanted", help="A line (7.2) or a release (7.2.12); default newest.")
@_set
@click.option("--update", is_flag=True, help="Look for a newer source in Debian's archive.")
@AS_JSON
def kernel_build(
    track: str, wanted: str | None, settings: tuple[str, ...], update: bool, as_json: bool
) -> None:
    """Build the kernel of a track."""
    from harness.commands import kernel as commands

    built = commands.build_kernel(track, wanted, settings, update)
    if as_json:
        print_json({"version": built.version, "key": built.key, "image": str(built.image)})
    else:
        click.echo(f"Linux {built.version}: {built.image}")


@kernel.command("patches")
@click.argument("track", default="upstream", shell_complete=words.tracks)
@_set
@click.option("--version", "wanted", help="For this Linux; default the newest in the cache.")
@click.option("--output", type=FILE, help="Write the mails into this folder, one a file.")
@click.option("--files", is_flag=True, help="Print the files that the series changes instead.")
@AS_JSON
def kernel_patches(
    track: str,
    settings: tuple[str, ...],
    wanted: str | None,
    output: Path | None,
    files: bool,
    as_json: bool,
) -> None:
    """Print the rendered series of TRACK as mails for `git am`, or write it, signed off by you."""
    from harness.commands import kernel as commands

    if files:
        changed = commands.files_that_change(track, wanted)
        if as_json:
            print_json(list(changed))
        else:
            click.echo("\n".join(changed))
        return
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    mails = commands.render_patches(track, settings, wanted, cover=output is not None)
    written = {output / name: text for name, text in mails.items()} if output else {}
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    if as_json:
        print_json(mails)
    elif output is None:
        click.echo("".join(mails.values()), nl=False)
    else:
        click.echo("\n".join(map(str, written)))


@kernel.command("edit")
@click.argument("track", shell_complete=words.tracks)
@_set
@click.option("--version", "wanted", help="Of this Linux; default the newest in the cache.")
@click.option("--output", type=FILE, help="A new folder; default linux-TRACK.")
@AS_JSON
def kernel_edit(
    track: str,
    settings: tuple[str, ...],
    wanted: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Check TRACK's series out as a git repository: the release, then a commit for each patch."""
    from harness.commands import kernel as commands

    folder, version, number = commands.edit_series(track, settings, wanted, output)
    if as_json:
        print_json({"folder": str(folder), "version": version, "patches": number})
        return
    then = f"; once its commits are as you want them: neve kernel save {track} {folder}"
    click.echo(f"{folder}: Linux {version} and {number} patches{then if CHECKOUT else ''}")


@kernel.command("save")
@click.argument("track", shell_complete=words.tracks)
@click.argument("folder", type=FILE)
@AS_JSON
def kernel_save(track: str, folder: Path, as_json: bool) -> None:
    """Save the commits of FOLDER, which `neve kernel edit` made, to TRACK's series."""
    from harness.commands import kernel as commands

    saved = commands.save_series(track, folder)
    if as_json:
        print_json(asdict(saved))
    else:
        click.echo(str(saved))


@kernel.command("import")
@click.argument("path", type=FILE)
@_track
@click.option("--revision", help="Of a git repository; default HEAD if PATH is a bare one.")
@AS_JSON
def kernel_import(path: Path, track: str, revision: str | None, as_json: bool) -> None:
    """Import a source tree, a tarball, a git repository or a linux-source package."""
    from harness.commands import kernel as commands

    source = commands.import_kernel(track, path, revision)
    if as_json:
        print_json({"version": source.version, "sha256": source.sha256})
    else:
        click.echo(f"Linux {source.version}, SHA-256 {source.sha256}")


@kernel.command("list")
@AS_JSON
def kernel_list(as_json: bool) -> None:
    """List the kernels and the sources in the cache."""
    from harness.commands import kernel as commands

    listed = commands.list_kernels()
    if as_json:
        print_json(listed)
        return
    for entry in listed:
        click.echo(f"{entry['what']:<7} {entry['track']:<9} {entry['version']:<10} {entry['key']}")
