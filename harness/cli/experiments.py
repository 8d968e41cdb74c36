# SPDX-License-Identifier: MIT
"""`neve ab`, `bisect` and `matrix`: is it worse, where, and since when?"""

from pathlib import Path

import click

from harness.cli.options import (
    AS_JSON,
    DATABASE,
    FILE,
    HOST,
    INVENTORY,
    KERNELS,
    ONLY,
    PLAYBOOK,
    PLAYBOOK_OR_FALLBACK,
    RESUME,
    RUNS,
    WAIT,
    Command,
    print_json,
)


@click.command(cls=Command)
@click.argument("before")
@click.argument("after")
@PLAYBOOK_OR_FALLBACK
@click.option(
    "--vary",
    type=click.Choice(["kernel", "l0", "l1", "l2", "vmm", "cpu", "gic", "config"]),
    default="kernel",
    show_default=True,
    help="What BEFORE and AFTER are: kernels of all levels or of one, or what else differs.",
)
@click.option(
    "--effect",
    type=click.FloatRange(min=0, max=100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="The smallest change that matters, where figures have noise.",
)
@click.option(
    "--boots",
    type=click.IntRange(min=5, max=1000),
    default=5,
    show_default=True,
    help="Boots of a server, or repetitions, of each side, if the playbook has fewer.",
)
@ONLY
@HOST
@INVENTORY
@KERNELS
@WAIT
@RESUME
@AS_JSON
def ab(
    before: str,
    after: str,
    playbook: Path,
    vary: str,
    effect: float,
    boots: int,
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: tuple[str, ...],
    wait: float,
    resume: str | None,
    as_json: bool,
) -> None:
    """Measure BEFORE and AFTER in turn, and say for each cell whether it is the same, faster or
    slower. The exit code is 0 for the same or faster, 1 for slower, 75 for unsure."""
    from harness.commands.setup import read_sides
    from harness.model.variation import Vary

    values = (before, after)
    setups = read_sides(playbook, Vary(vary), values, only, host, inventory, kernels, boots)
    from harness.commands.ab import ab as run_ab
    from harness.commands.ab import require_no_worse

    folder, found = run_ab(RUNS, setups, vary, values, effect / 100, resume=resume, wait=wait)
    if as_json:
        print_json(found.data())
    else:
        click.echo(found.text())
        click.echo(f"report: {folder / 'report.html'}")
    require_no_worse(found)


@click.command(cls=Command)
@click.argument("good", required=False)
@click.argument("bad", required=False)
@PLAYBOOK_OR_FALLBACK
@click.option(
    "--level",
    "levels",
    type=click.Choice(["l0", "l1", "l2"]),
    multiple=True,
    help="The level whose kernel is bisected; default all.",
)
@click.option(
    "--expect",
    "expectations",
    multiple=True,
    metavar="WHAT",
    help=(
        "What a good revision does: 'hypercall/nested-neve-vhe/traps <= 8', or "
        "'hypercall/nested-neve-vhe passes', if bad ones hang."
    ),
)
@ONLY
@HOST
@INVENTORY
@KERNELS
@WAIT
@click.option(
    "--payload", type=FILE, help="Boot this flat arm64 image, or readback: payload/… passes."
)
@click.option("--payload-arguments", default="", help="The image's command line.")
@RESUME
@AS_JSON
def bisect(
    good: str | None,
    bad: str | None,
    playbook: Path,
    levels: tuple[str, ...],
    expectations: tuple[str, ...],
    only: str | None,
    host: str | None,
    inventory: Path | None,
    kernels: tuple[str, ...],
    wait: float,
    payload: Path | None,
    payload_arguments: str,
    resume: str | None,
    as_json: bool,
) -> None:
    """Find the commit between GOOD (repository@revision) and BAD (a revision of the same
    repository) that changed what is expected. Revisions that do not build or boot are skipped."""
    from harness.commands import bisect as commands
    from harness.model.playbook import Payload

    if resume:
        from harness.results.experiment import Experiment

        experiment = Experiment.open(RUNS, resume, "bisect")
    elif good is None or bad is None:
        raise click.UsageError("GOOD and BAD are missing (or --resume RUN)")
    else:
        from harness.commands.setup import read_setup
        from harness.model.expectation import Expectation
        from harness.model.kernel_choice import Level

        image = Payload(image=payload, arguments=payload_arguments) if payload else None
        setup = read_setup(playbook, only, host, inventory, kernels=kernels, payload=image)
        experiment = commands.start(
            RUNS,
            setup.playbook,
            (good, bad),
            [Level(level) for level in levels] or list(Level),
            [Expectation.of(text) for text in expectations],
        )
    found = commands.Search(experiment, wait).run()
    if as_json:
        print_json(found.data())
    else:
        click.echo(found.text())


@click.command(cls=Command)
@PLAYBOOK
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    required=True,
    metavar="[LEVEL=]K",
    help="A kernel to measure, of all levels or of one; may be given more than once.",
)
@ONLY
@HOST
@INVENTORY
@WAIT
@DATABASE
@AS_JSON
def matrix(
    playbook: Path,
    kernels: tuple[str, ...],
    only: str | None,
    host: str | None,
    inventory: Path | None,
    wait: float,
    database: str | None,
    as_json: bool,
) -> None:
    """Measure traps and costs of PLAYBOOK with several kernels. What the history has for the same
    kernels is not measured again."""
    from harness.commands.setup import read_setup

    setups = {
        kernel: read_setup(playbook, only, host, inventory, kernels=[kernel]) for kernel in kernels
    }
    from harness.commands.matrix import matrix as run_matrix

    found = run_matrix(RUNS, setups, database, wait=wait)
    if as_json:
        print_json(found.data())
    else:
        click.echo(found.text())
        click.echo(f"report: {found.folder / 'report.html'}")
