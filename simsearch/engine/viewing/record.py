"""The view that the database names: its record, and opening it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simsearch.errors import IndexDamaged
from simsearch.storage import catalog
from simsearch.views.remote.fed import Fed

if TYPE_CHECKING:
    from simsearch.views.faiss_view import FaissView
    from simsearch.views.remote.milvus_view import MilvusView


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """The view named in the database: file name in `views/`, kind, size and SHA-256 of the file, the last
    vector id that it covers, how many rows it was trained on, the recall that was asked for, and its two
    settings: the tuned one and the robust one, of which `use_robust` says which is in use. `mean` is that by
    which its vectors were centred, float32 in base64; None where they were not. `remote` is where the rows
    of a view on a server are, of which the file is the transform that they went through; else None."""

    file: str
    kind: str
    size: int
    sha256: str
    last_id: int
    trained_on: int
    nprobe: int
    reranked: int
    recall: float
    wanted: float = 0.99
    robust_nprobe: int = 1
    robust_reranked: int = 1
    robust_recall: float = 0.0
    use_robust: bool = False
    mean: str | None = None
    remote: Fed | None = None

    @classmethod
    def from_settings(cls, settings: dict[str, str]) -> ViewRecord | None:
        """The record under the key "view", or None for exact search. Raises IndexDamaged."""
        return catalog.parsed("view", settings["view"], cls._checked) if "view" in settings else None

    @classmethod
    def _checked(cls, values: dict[str, Any]) -> ViewRecord:
        remote = values.get("remote")
        record = cls(**{**values, "remote": None if remote is None else Fed.checked(remote)})
        counts = [record.size, record.last_id, record.trained_on, record.nprobe, record.reranked]
        counts += [record.robust_nprobe, record.robust_reranked]
        if any(type(count) is not int or not 0 < count < 1 << 62 for count in counts):
            raise ValueError("no count")
        if not re.fullmatch(r"\d{1,18}\.faiss", record.file):
            raise ValueError("no name of a view")
        kinds = ("ivf", "hnsw") if record.remote is None else ("milvus",)
        if record.kind not in kinds or not isinstance(record.sha256, str):
            raise ValueError("no view of a kind that is known")
        if record.mean is not None:
            base64.b64decode(record.mean, validate=True)
        if not record.robust_recall:
            # Written before views had a second setting: the tuned one is all that is known.
            record = replace(
                record,
                robust_nprobe=record.nprobe,
                robust_reranked=record.reranked,
                robust_recall=record.recall,
            )
        return replace(
            record,
            recall=float(record.recall),
            wanted=float(record.wanted),
            robust_recall=float(record.robust_recall),
            use_robust=bool(record.use_robust),
        )

    def to_json(self) -> str:
        """As it is written under the key "view"."""
        values = asdict(self)
        if self.remote is None:
            # A version that knows nothing of servers takes the rest.
            del values["remote"]
        return json.dumps(values)


def load_view(folder: Path, record: ViewRecord) -> FaissView | MilvusView | None:
    """The view on disk, or None when it is missing or not the file that was written.

    Of one on a server raises ViewUnavailable, ViewStale, ExtraMissing.
    """
    from simsearch.views.faiss_view import VIEWS
    from simsearch.views.tuning import Setting

    path = folder / "views" / record.file
    try:
        digest = file_digest(path)
        if path.stat().st_size != record.size or digest != record.sha256:
            return None
        tuned = Setting(record.nprobe, record.reranked, record.recall)
        robust = Setting(record.robust_nprobe, record.robust_reranked, record.robust_recall)
        used = robust if record.use_robust else tuned
        if record.remote is None:
            return VIEWS[record.kind].read(path, used, robust)
        from simsearch.views.remote.milvus_view import MilvusView

        return MilvusView.read(path, record.remote, used, robust)
    except (OSError, IndexDamaged):
        return None


def named_view(settings: dict[str, str]) -> ViewRecord | None:
    """The record of the view; None also where it is none that can be, so that every row is compared."""
    with contextlib.suppress(IndexDamaged):
        return ViewRecord.from_settings(settings)
    return None


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
