"""Which format a database has, and the numbered steps from an older one."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from simsearch.errors import FormatUnknown
from simsearch.storage.database import Database
from simsearch.storage.schema import APPLICATION_ID, FORMAT, metadata

# STEPS[n] turns format n into n + 1, inside the caller's transaction. Format 1 is the first.
STEPS: dict[int, Callable[[sa.Connection], None]] = {}


def create(connection: sa.Connection) -> None:
    """Make the tables of the current format, marked as such, inside the caller's transaction."""
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")


def check(database: Database) -> bool:
    """True when the database has the current format, False when its creation was never finished.

    Raises FormatUnknown for any other, in words.
    """
    application, version = int(database.pragma("application_id")), int(database.pragma("user_version"))
    if version == 0 and application == 0:
        with database.read() as connection:
            if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                return False
    if application != APPLICATION_ID:
        raise FormatUnknown(
            f"{database.path} is a database, but not one of simsearch. Name another folder with -i."
        )
    if version > FORMAT:
        raise FormatUnknown(
            f"{database.path.parent} has format {version}; this version reads up to {FORMAT}. "
            "Update simsearch."
        )
    while version < FORMAT:
        if version not in STEPS:
            raise FormatUnknown(
                f"{database.path.parent} has format {version}, from which there is no way to {FORMAT}. "
                "Index the photos again into a new folder."
            )
        with database.write() as connection:
            STEPS[version](connection)
            connection.exec_driver_sql(f"PRAGMA user_version={version + 1}")
        version += 1
    return True
