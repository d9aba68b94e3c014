"""Addresses of Milvus views: what is taken, what is refused, and that no secret is repeated."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.errors import QueryInvalid
from simsearch.views.remote.address import MilvusAddress
from simsearch.views.remote.fed import Fed, index_of, new_name
from simsearch.views.remote.filters import RANGES, RUN, TERMS, expressions

UUID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("typed", "uri", "written"),
    [
        ("milvus://db.local/photos", "http://db.local:19530", "milvus://db.local:19530/photos"),
        ("milvus://[::1]:1/p?index=hnsw", "http://[::1]:1", "milvus://[::1]:1/p"),
        (
            "milvus+tls://db.local:443/p?index=diskann&db=mine",
            "https://db.local:443",
            "milvus+tls://db.local:443/p?db=mine&index=diskann",
        ),
        ("milvus:///a%20b/x.db/p?index=ivf", "/a b/x.db", "milvus:///a%20b/x.db/p?index=ivf"),
        ("milvus:///C:/x.db/p", "C:/x.db", "milvus:///C%3A/x.db/p"),
    ],
)
def test_an_address_is_read_and_written(typed: str, uri: str, written: str) -> None:
    address = MilvusAddress.parse(typed)
    assert (address.uri, str(address)) == (uri, written)
    assert MilvusAddress.parse(written) == address


@pytest.mark.parametrize(
    "typed",
    [
        "milvus://root:secret@host/photos",
        "milvus://host/photos?token=secret",
        "milvus://host/a/b",
        "milvus://host/",
        "milvus://host",
        "milvus://host:70000/photos",
        "milvus://host/1photos",
        "milvus://host/photos?index=flat",
        "milvus://host/photos?index=ivf&index=hnsw",
        "milvus:///tmp/photos",
        "milvus+tls:///tmp/x.db/photos",
        "milvus:x.db/photos",
        "http://host/photos",
    ],
)
def test_what_is_none_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(QueryInvalid, match="no address of a Milvus view") as caught:
        MilvusAddress.parse(typed)
    assert "secret" not in str(caught.value)


def test_a_collection_belongs_to_one_build_of_one_index() -> None:
    name = new_name("photos", UUID)
    assert name != new_name("photos", UUID)
    assert index_of(name) == UUID
    for other in ("photos", f"photos_simsearch_{UUID}", f"{name}x", name.replace("simsearch", "other")):
        assert index_of(other) is None


def test_what_was_written_down_is_checked() -> None:
    good = {"address": "milvus://h:1/p", "name": new_name("p", UUID), "rows": 3, "last_id": 9, "stamp": 7}
    assert Fed.checked(good).rows == 3
    for key, wrong in (("rows", 0), ("last_id", True), ("stamp", "7"), ("name", "p"), ("address", "h")):
        with pytest.raises(ValueError, match="no "):
            Fed.checked({**good, key: wrong})


def test_filters_let_through_just_the_allowed_ids() -> None:
    alone = np.arange(3 * TERMS, dtype=np.int64) * 2 + 1_000_001
    runs = np.concatenate([np.arange(n * 1000, n * 1000 + RUN) for n in range(1, RANGES + 3)])
    parts = list(expressions(np.sort(np.concatenate([runs, alone]))))
    assert len(parts) == 2 + 3
    assert sorted(np.concatenate([ids for ids, _ in parts])) == sorted([*runs, *alone])
    assert parts[0][1].startswith(f"(id >= 1000 and id <= {999 + RUN}) or (id >= 2000 and")
    assert parts[0][1].count("id >= ") == RANGES
    assert parts[-1][1] == f"id in {alone[2 * TERMS :].tolist()}"
