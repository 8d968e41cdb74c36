# SPDX-License-Identifier: MIT
"""A history's database as earlier versions of the harness left it."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from harness.results.history import database, intake
from harness.results.store import RunFolder


def of_before(place, revision, folders, accepted=()):
    """A database of `revision` with the runs in `folders`, and what was `accepted`: rows of the
    table acceptances."""
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    engine = sa.create_engine(database.parse(place))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        known = sa.MetaData()
        known.reflect(connection)
        runs, measurements = known.tables["runs"], known.tables["measurements"]
        for folder in folders:
            opened = RunFolder.open(folder.parent, folder.name)
            facts = intake.Run.model_validate(intake.facts(opened)).model_dump()
            row = {name: value for name, value in facts.items() if name in runs.c}
            connection.execute(runs.insert(), [{**row, "digest": "of then"}])
            connection.execute(
                measurements.insert(),
                [
                    _row(each, measurements)
                    for record in opened.records()
                    for each in record.measurements
                ],
            )
        if accepted:
            connection.execute(known.tables["acceptances"].insert(), list(accepted))
    engine.dispose()


def _row(measurement, table):
    """As it was: before revision 0003 the level of busy CPUs in their reason."""
    row = {name: value for name, value in vars(measurement).items() if name in table.c}
    return row if "level" in table.c else {**row, "reason": measurement.level or measurement.reason}
