"""Which format a database has, and the numbered steps from an older one."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from simsearch.errors import FormatUnknown, IndexDamaged
from simsearch.storage.catalog import number, read_settings
from simsearch.storage.database import Database
from simsearch.storage.schema import APPLICATION_ID, FORMAT, metadata
from simsearch.storage.writer import put_settings

# STEPS[n] turns format n into n + 1, inside one transaction. Format 1 is the first.
STEPS: dict[int, Callable[[sa.Connection], None]] = {}


def create(connection: sa.Connection) -> None:
    """Make the tables of the current format, marked as such, inside the caller's transaction."""
    metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")


def check(database: Database) -> bool:
    """True when the database is whole, False when its creation was never finished.

    Raises FormatUnknown, in words, where it is of a newer format or of no index.
    """
    # In one transaction: between two of them somebody may have made the tables.
    with database.read() as connection:
        queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        found = [int(connection.exec_driver_sql(query).scalar() or 0) for query in queries]
    application, version, _ = found
    if not any(found):
        return False
    if application != APPLICATION_ID:
        raise FormatUnknown(
            f"{database.path} is a database, but not one of simsearch. Name another folder with -i."
        )
    if version != FORMAT and _stated(database) == FORMAT:
        if int(database.pragma("user_version")) != version:
            # Somebody has brought it forward between the looks.
            return check(database)
        raise IndexDamaged(f"The header of {database.path} is damaged. Run: simsearch verify")
    if version > FORMAT:
        raise FormatUnknown(
            f"{database.path.parent} has format {version}; this version reads up to {FORMAT}. "
            "Update simsearch; if it is no older than the index, run: simsearch verify"
        )
    return True


def _stated(database: Database) -> int | None:
    """The format as the settings say it, where they can be read and do."""
    try:
        with database.read() as connection:
            settings = read_settings(connection)
        return number(settings, "format", 0) if "format" in settings else None
    except IndexDamaged:
        return None


def missing(database: Database) -> set[str]:
    """The names of tables and indexes that a database of the current format has and this one lacks."""
    names = "SELECT type || ' ' || name FROM sqlite_master"
    with sa.create_engine("sqlite://").begin() as connection:
        metadata.create_all(connection)
        wanted = set(connection.exec_driver_sql(names).scalars())
    with database.read() as connection:
        return wanted - set(connection.exec_driver_sql(names).scalars())


def is_old(database: Database) -> bool:
    """Whether a database that `check` found whole has an older format."""
    return 0 <= int(database.pragma("user_version")) < FORMAT


def migrate(database: Database) -> None:
    """Bring a database forward, one format a transaction; the caller holds the lock.

    A crash leaves it in one format or the next. Raises FormatUnknown where there is no way from it.
    """
    while is_old(database):
        with database.write() as connection:
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar() or 0)
            if version not in STEPS:
                raise FormatUnknown(
                    f"{database.path.parent} has format {version}, from which there is no way to {FORMAT}. "
                    "Index the photos again into a new folder."
                )
            STEPS[version](connection)
            put_settings(connection, {"format": str(version + 1)})
            connection.exec_driver_sql(f"PRAGMA user_version={version + 1}")
