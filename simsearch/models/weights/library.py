"""Checkpoints that a person imported: a copy of each, and beside it how its pictures are prepared."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

from simsearch.errors import WeightsRefused
from simsearch.models.record import Backbone, Triple


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported checkpoint.

    Attributes:
        name: what `--model` takes.
        model: the backbone that it belongs to.
        file: its name in the folder of imported checkpoints.
        sha256: of its bytes, hex.
        mean, std, resize, crop, interpolation: how its pictures are prepared.
        origin: where it was imported from.
    """

    name: str
    model: str
    file: str
    sha256: str
    mean: Triple
    std: Triple
    resize: int
    crop: int
    interpolation: str
    origin: str

    @property
    def path(self) -> Path:
        """Where the copy lies."""
        return library_folder() / self.file

    def backbone(self, base: Backbone) -> Backbone:
        """`base` with this checkpoint and its preprocessing."""
        return replace(
            base,
            mean=self.mean,
            std=self.std,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
            source=f"imported from {self.origin}",
            licence="as its owner says",
            file=self.file,
            sha256=self.sha256,
            url=None,
            package=None,
            hub=None,
            place=str(self.path),
        )


def library_folder() -> Path:
    """The folder of imported checkpoints, in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("simsearch", appauthor=False)) / "weights"


def list_imported() -> tuple[Imported, ...]:
    """All imported checkpoints, by name; a note that cannot be read is passed over."""
    found = []
    try:
        notes = sorted(note for note in os.listdir(library_folder()) if note.endswith(".json"))
    except OSError:
        return ()
    for note in (library_folder() / name for name in notes):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found.append(_parse(json.loads(note.read_text(encoding="utf-8"))))
    return tuple(found)


def find_imported(name: str) -> Imported | None:
    """The checkpoint imported under this name, or None."""
    return next((imported for imported in list_imported() if imported.name == name), None)


def copies_of(sha256: str) -> list[Path]:
    """The copies whose names say that they may have this SHA-256, those of replaced imports too."""
    try:
        names = sorted(os.listdir(library_folder()))
    except OSError:
        return []
    mark = f"-{sha256[:8]}"
    return [library_folder() / name for name in names if Path(name).stem.endswith(mark)]


def keep(source: Path, imported: Imported) -> Path:
    """Copy a checkpoint into the folder and write its note, which replaces an earlier one of that name.

    The earlier copy stays, for the indexes that were made with it. Each file appears under its name when it
    is whole; the note comes last. Raises WeightsRefused when the folder cannot be written.
    """
    folder = library_folder()
    note = json.dumps(asdict(imported), indent=1).encode()
    put(source, folder / imported.file)
    try:
        _write(_note_of(imported.name), io.BytesIO(note))
    except OSError as exc:
        raise _refused(source, folder, exc) from exc
    return folder / imported.file


def forget(name: str) -> None:
    """Let a name mean its backbone's own weights again; the copy stays."""
    with contextlib.suppress(OSError):
        _note_of(name).unlink(missing_ok=True)


def _note_of(name: str) -> Path:
    return library_folder() / f"{name.replace('/', '%')}.json"


def put(source: Path, place: Path) -> None:
    """Copy a file to `place`, where it appears when it is whole. Raises WeightsRefused."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as stream:
            _write(place, stream)
    except OSError as exc:
        raise _refused(source, place.parent, exc) from exc


def _refused(source: Path, folder: Path, exc: OSError) -> WeightsRefused:
    return WeightsRefused(
        f"{source} cannot be copied to {folder}: {exc.strerror or exc}. Make room or rights there."
    )


def _write(place: Path, content: IO[bytes]) -> None:
    part = place.with_name(f"{place.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as target:
            shutil.copyfileobj(content, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def _parse(values: dict[str, Any]) -> Imported:
    known = {field.name for field in fields(Imported)}
    mean, std = tuple(map(float, values["mean"])), tuple(map(float, values["std"]))
    return Imported(**{**{key: values[key] for key in known}, "mean": mean, "std": std})
