# SPDX-License-Identifier: MIT
"""The tables. A change here needs a revision in `migrations/versions`; a test compares both."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What all tables share. Constraints have names, so that a migration can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads the class's own attribute)
        str: Text(),
        datetime: DateTime(timezone=True),
        float: Double(),
    }


class StoredRun(Base):
    """A run folder. `repetitions` is what the playbook asked for: a measurement with a higher
    repetition was repeated because the first looked changed. `digest` names the content of the
    folder when it was read; `kernels` are `name: version key`, with semicolons between;
    `settings` is a JSON object of what the playbook sets by host; `microbench` and `rootfs` are
    hashes."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    started: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[str]
    playbook: Mapped[str]
    repetitions: Mapped[int]
    harness: Mapped[str]
    emulator: Mapped[str | None]
    kernels: Mapped[str]
    folder: Mapped[str]
    digest: Mapped[str]
    settings: Mapped[str]
    microbench: Mapped[str]
    rootfs: Mapped[str]


class StoredMeasurement(Base):
    """A row of results.csv. `sequence` names the trap sequence whose length the value is."""

    __tablename__ = "measurements"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    track: Mapped[str]
    cpu: Mapped[str]
    gic: Mapped[int]
    configuration: Mapped[str] = mapped_column(primary_key=True)
    mechanism: Mapped[str]
    benchmark: Mapped[str] = mapped_column(primary_key=True)
    repetition: Mapped[int] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    value: Mapped[float]
    stdev: Mapped[float | None]
    iterations: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    statistic: Mapped[str] = mapped_column(primary_key=True)
    share: Mapped[float | None]
    sequence: Mapped[str | None]


class StoredSequence(Base):
    """A trap sequence, once for all that measured it. `digest` names its content; `exits` is a
    JSON array of those of each vCPU."""

    __tablename__ = "sequences"

    digest: Mapped[str] = mapped_column(primary_key=True)
    exits: Mapped[str]


class StoredAcknowledgement(Base):
    """What changed for the worse in a series, up to the run that started at `until`, is its new
    normal. `series` is a JSON object of what names it; `by` and `at` say who said so, and when."""

    __tablename__ = "acceptances"

    series: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True)
    note: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime | None]
