"""What the commands make of archives and URLs: leaks, eval, explain, verify, import, and folders in them."""

from __future__ import annotations

from pathlib import Path

from simsearch import index_folder
from simsearch.engine.exchange.export import export
from simsearch.engine.exchange.importing import import_embeddings
from simsearch.engine.exchange.origin import Origin
from simsearch.engine.index import Index
from simsearch.engine.indexing import IndexingConfig
from simsearch.models.choice import ModelChoice
from sources.ground import MODEL, jpeg
from sources.test_archives import PHOTOS, put_zip, rows

CONFIG = IndexingConfig(choice=ModelChoice(MODEL))


def test_an_import_puts_what_an_archive_holds_below_the_archive(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "x.jpg").write_bytes(jpeg(7))
    archive = put_zip(folder / "p.zip", PHOTOS)
    index_folder([folder, archive], tmp_path / "index", CONFIG)
    export(tmp_path / "out", tmp_path / "index")
    import_embeddings(Origin(tmp_path / "out"), tmp_path / "again")
    with Index.open(tmp_path / "again") as index:
        assert index.info().roots == (str(folder), str(archive))
    assert rows(tmp_path / "again") == rows(tmp_path / "index")
    report = index_folder((), tmp_path / "again", CONFIG)
    assert (report.unchanged, report.gone, report.embedded) == (5, 0, 0)
