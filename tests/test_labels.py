"""Labels against torchvision's own logits, the rows of the database and brute force over them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torchvision
from conftest import age, picture, simsearch
from numpy.typing import NDArray
from PIL import Image
from skimage import data as samples

from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.engine.labels.asking import photos_labelled
from simsearch.engine.labels.facts import photo_facts
from simsearch.engine.labels.kept import names_kept
from simsearch.engine.maintenance.compact import compact
from simsearch.engine.maintenance.repair import repair
from simsearch.engine.maintenance.verify import verify
from simsearch.engine.queries.filters import PhotoFilter, ids_where
from simsearch.engine.search import QueryOptions, Searcher
from simsearch.errors import NotIndexed, QueryInvalid
from simsearch.framing import frame
from simsearch.models import embedder as embedder_module
from simsearch.models.choice import ModelChoice
from simsearch.models.embedder import Embedder
from simsearch.models.labels.classifier import NoClassifier, classifier_path, find_classifier
from simsearch.models.labels.labeller import Labeller
from simsearch.models.labels.names import classes_named, list_names
from simsearch.models.onnx_graph import graph_path, is_measured, read_graph, sealed, store_graph
from simsearch.models.registry import build, get_backbone
from simsearch.storage.lock import WriterLock

PHOTOS = ("coffee", "chelsea", "rocket", "astronaut", "camera", "coins", "clock")
LITE0 = "efficientnet_lite0"

Pixels = NDArray[np.uint8]


def shown(name: str) -> Image.Image:
    return Image.fromarray(getattr(samples, name)()).convert("RGB")


def plain_logits(network: torch.nn.Module, pixels: Pixels, model: str) -> NDArray[np.float32]:
    """What the whole classifier gives, prepared as its makers say."""
    backbone = get_backbone(model)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    with torch.inference_mode():
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
        return network.eval()((pictures - mean) / std).numpy()


def lite_logits(pictures: list[Image.Image]) -> NDArray[np.float32]:
    """Of the network of the package efficientnet-lite-pytorch, with its own weights file."""
    embedder = Embedder(LITE0, device="cpu")
    network = build(get_backbone(LITE0))
    network.load_state_dict(torch.load(str(embedder.weights_path), weights_only=True))
    pixels = np.stack([frame(one, embedder.spec.framing) for one in pictures])
    return plain_logits(network, pixels, LITE0)


def best(logits: NDArray[np.float32]) -> list[tuple[tuple[int, int], ...]]:
    """The five most probable classes in millionths, by torch."""
    shares, classes = torch.from_numpy(logits.astype(np.float64)).softmax(1).topk(5)
    millionths = (shares * 1e6).round().long()
    return [tuple(zip(*row, strict=True)) for row in zip(classes.tolist(), millionths.tolist(), strict=True)]


def checkpoint_of(model: str, place: Path, **other: torch.Tensor | None) -> torch.nn.Module:
    """A network of random values, saved to `place`; `other` replaces tensors of the file, None drops one."""
    torch.manual_seed(4)
    network = build(get_backbone(model))
    state = {**network.state_dict(), **{name.replace("__", "."): value for name, value in other.items()}}
    torch.save({name: value for name, value in state.items() if value is not None}, place)
    return network


# The classifier


def test_the_names_are_torchvisions() -> None:
    assert list(list_names()) == torchvision.models.ResNet50_Weights.DEFAULT.meta["categories"]
    assert len(set(list_names())) == 1000
    assert classes_named("golden retriever") == classes_named(" Golden  RETRIEVER ") == {207}
    # torchvision tells the bird and the machine apart, and the dog and the garment.
    assert (classes_named("crane bird"), classes_named("crane")) == ({134}, {517})
    assert (classes_named("Cardigan"), classes_named("cardigan")) == ({264}, {474})
    assert classes_named("CARDIGAN") == {264, 474}


@pytest.mark.parametrize(
    ("asked", "told"),
    [("cat", "'tiger cat' or 'Persian cat'"), ("retriver", "golden retriever"), ("xq", "ImageNet's")],
)
def test_an_unknown_label_names_the_nearest(asked: str, told: str) -> None:
    with pytest.raises(QueryInvalid, match=f"no label '{asked}'.*{told}"):
        classes_named(asked)


@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v3_small", "densenet121"])
def test_logits_are_torchvisions(model: str, tmp_path: Path) -> None:
    network = checkpoint_of(model, tmp_path / "random.pth")
    side = get_backbone(model).crop
    pixels = np.stack([np.asarray(picture(seed, (side, side))) for seed in range(3)])
    embedder = Embedder(model, weights=str(tmp_path / "random.pth"), device="cpu", runtime="torch")
    vectors, labels = Labeller(embedder, print).look(pixels)
    lengths = embedder.measure(pixels)[1]
    assert lengths is not None
    logits = find_classifier(embedder.spec, embedder.weights_path, print).logits(vectors, lengths)
    expected = plain_logits(network, pixels, model)
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert labels is not None
    for found, row in zip(labels, expected, strict=True):
        shares = torch.from_numpy(row).double().softmax(0)
        assert [share for _, share in found] == sorted((share for _, share in found), reverse=True)
        assert dict(found) == pytest.approx(
            {number: float(shares[number]) * 1e6 for number, _ in found}, abs=60
        )


def test_real_photos_have_the_labels_of_the_plain_network() -> None:
    pictures = [shown(name) for name in PHOTOS]
    logits = lite_logits(pictures)
    embedder = Embedder(LITE0, device="cpu", note=lambda line: None)
    vectors, labels = Labeller(embedder, print).look(pictures)
    lengths = embedder.measure(pictures)[1]
    assert embedder.runtime == "onnx"
    assert lengths is not None
    found = find_classifier(embedder.spec, None, print).logits(vectors, lengths)
    np.testing.assert_allclose(found, logits, atol=1e-3)
    assert labels is not None
    tops = [list_names()[row[0][0]] for row in labels[:3]]
    assert tops == ["espresso", "tiger cat", "missile"]
    for got, expected in zip(labels, best(logits), strict=True):
        assert [number for number, _ in got] == [number for number, _ in expected]
        assert [share for _, share in got] == pytest.approx([share for _, share in expected], abs=100)


HEADS: dict[str, tuple[dict[str, torch.Tensor | None], str]] = {
    "none": ({"fc__weight": None, "fc__bias": None}, "the checkpoint has no classifier"),
    "ten": (
        {"fc__weight": torch.ones(10, 512), "fc__bias": torch.ones(10)},
        "classifier has 10 classes and not ImageNet's 1000",
    ),
    "nan": ({"fc__bias": torch.full((1000,), torch.nan)}, "the checkpoint has no classifier"),
}


@pytest.mark.parametrize("head", HEADS)
def test_checkpoints_without_imagenets_classifier(head: str, tmp_path: Path) -> None:
    """Said so, and known the next time without the checkpoint."""
    other, told = HEADS[head]
    weights = tmp_path / "random.pth"
    checkpoint_of("resnet18", weights, **other)
    spec = Embedder("resnet18", weights=str(weights), device="cpu").spec
    with pytest.raises(NoClassifier, match=told):
        find_classifier(spec, str(weights), print)
    weights.unlink()
    with pytest.raises(NoClassifier, match=told):
        find_classifier(spec, str(weights), print)


def test_a_classifier_below_a_prefix_and_without_a_bias(tmp_path: Path) -> None:
    torch.manual_seed(4)
    state = build(get_backbone("resnet18")).state_dict()
    del state["fc.bias"]
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "a.pth")
    spec = Embedder("resnet18", weights=str(tmp_path / "a.pth"), device="cpu").spec
    found = find_classifier(spec, str(tmp_path / "a.pth"), print)
    np.testing.assert_array_equal(found.weights, state["fc.weight"].numpy())
    assert not found.bias.any()
    # A damaged file of the cache is read again from the checkpoint.
    raw = bytearray(classifier_path(spec).read_bytes())
    raw[500] ^= 1
    classifier_path(spec).write_bytes(raw)
    again = find_classifier(spec, str(tmp_path / "a.pth"), print)
    np.testing.assert_array_equal(again.weights, found.weights)


def as_before(graph: bytes) -> bytes:
    """A prepared network as versions without labels made it: vectors alone."""
    model = onnx.load_from_string(graph)
    last = next(node for node in model.graph.node if "measured" in node.output)
    assert last.op_type == "Concat"
    vectors = last.input[0]
    model.graph.node.remove(last)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["vectors" if name == vectors else name for name in names]
    output = model.graph.output[0]
    output.name = "vectors"
    output.type.tensor_type.shape.dim[1].dim_value -= 1
    model.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return bytes(model.SerializeToString())


def test_a_network_that_an_older_version_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers queries as it is, and is prepared again for labels, if the weights are still there."""
    pictures = [shown("coffee")]
    embedder = Embedder(LITE0, device="cpu", note=lambda line: None)
    expected = embedder.embed(pictures)
    spec, path = embedder.spec, graph_path(embedder.spec)
    whole = path.read_bytes()
    old = sealed(as_before(whole), spec)
    assert is_measured(whole)
    assert not is_measured(old)
    monkeypatch.setattr(embedder_module, "export", lambda network, spec: whole)
    try:
        store_graph(old, path)
        notes: list[str] = []
        asking = Embedder.for_spec(spec, None, device="cpu", note=notes.append)
        np.testing.assert_allclose(asking.embed(pictures), expected, atol=1e-5)
        assert asking.measure(pictures)[1] is None
        assert (notes, read_graph(path, spec)) == ([], old)
        labelling = Labeller(Embedder.for_spec(spec, None, device="cpu", note=notes.append), notes.append)
        assert labelling.look(pictures)[1] is not None
        assert notes == [f"Preparing {LITE0} for this machine (once)"]
        assert read_graph(path, spec) == whole
    finally:
        store_graph(whole, path)


# What is kept of it


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photos, one of them twice and one that cannot be read, and their index."""
    work = tmp_path_factory.mktemp("labels")
    for name in PHOTOS:
        (work / "photos" / name[0]).mkdir(parents=True, exist_ok=True)
        shown(name).save(work / "photos" / name[0] / f"{name}.png")
    shutil.copy(work / "photos" / "c" / "coffee.png", work / "photos" / "again.png")
    (work / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 is cut")
    age(work / "photos")
    index_folder(work / "photos", work / "index", IndexingConfig(choice=ModelChoice(model=LITE0)))
    return work / "photos", work / "index"


@pytest.fixture
def own(kept: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The same, to be changed; the photos stay where they are."""
    shutil.copytree(kept[1], tmp_path / "index")
    return kept[0], tmp_path / "index"


def rows(index: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(index / "index.db")) as database, database:
        return database.execute(query, values).fetchall()


def by_name(index: Path) -> dict[str, list[tuple[str, int]]]:
    """(label, millionths) of each photo by the name of its file, the most probable first, by sqlite3."""
    found: dict[str, list[tuple[str, int]]] = {}
    query = (
        "SELECT f.relpath, l.class, l.millionths FROM files f JOIN labels l ON l.content_id = f.content_id "
        "ORDER BY f.relpath, l.millionths DESC, l.class"
    )
    for path, number, millionths in rows(index, query):
        found.setdefault(os.path.basename(os.fsdecode(path)), []).append((list_names()[number], millionths))
    return found


def test_the_rows_are_the_softmax_of_the_plain_networks_logits(kept: tuple[Path, Path]) -> None:
    found = by_name(kept[1])
    assert found.keys() == {"again.png", *(f"{name}.png" for name in PHOTOS)}
    assert found["again.png"] == found["coffee.png"]
    for name, expected in zip(PHOTOS, best(lite_logits([shown(name) for name in PHOTOS])), strict=True):
        got = found[f"{name}.png"]
        assert [label for label, _ in got] == [list_names()[number] for number, _ in expected]
        assert [share for _, share in got] == pytest.approx([share for _, share in expected], abs=100)
    columns = rows(kept[1], "SELECT content_id, class, millionths, seal FROM labels")
    assert len(columns) == 5 * len(PHOTOS)
    assert all(zlib.crc32(b"i%d;i%d;i%d;" % row[:3]) == row[3] for row in columns)
    assert verify(kept[1]).ok


def names_of(hits: Any) -> list[str]:
    return [os.path.basename(hit.path) for hit in hits]


def test_photos_with_a_label_by_its_probability(kept: tuple[Path, Path]) -> None:
    truth = by_name(kept[1])
    del truth["coffee.png"]  # again.png, which has the same bytes, comes first
    with Index.open(kept[1]) as index:
        for label in sorted({label for own in truth.values() for label, _ in own}):
            expected = sorted(
                ((-share, name) for name, own in truth.items() for known, share in own if known == label),
                key=lambda pair: pair,
            )
            hits = photos_labelled(index, [label]).hits
            assert names_of(hits) == [name for _, name in expected]
            assert [hit.score for hit in hits] == pytest.approx([-share / 1e6 for share, _ in expected])
        assert photos_labelled(index, ["espresso"]).hits[0].copies == (str(kept[0] / "c" / "coffee.png"),)
        # Of several labels the probabilities add up.
        [both] = photos_labelled(index, ["tabby", "tiger cat"]).hits
        shares = dict(truth["chelsea.png"])
        assert both.score == pytest.approx((shares["tabby"] + shares["tiger cat"]) / 1e6)
        assert photos_labelled(index, ["%cat", "tabby"]).hits[0].score > both.score


def test_labels_alone_take_filters_pages_and_bounds(kept: tuple[Path, Path]) -> None:
    with Index.open(kept[1]) as index:
        everything = photos_labelled(index, ["%"]).hits
        assert len(everything) == len(PHOTOS)
        assert photos_labelled(index, ["%"], QueryOptions(k=2, offset=3)).hits == everything[3:5]
        below = PhotoFilter(folders=(kept[0] / "c",), where="width > 500")
        expected = [hit for hit in everything if "/c/c" in (hit.copies[0] if hit.copies else hit.path)]
        found = photos_labelled(index, ["%"], QueryOptions(photos=below)).hits
        assert [hit.id for hit in found] == [hit.id for hit in expected if hit.width > 500]
        surest = photos_labelled(index, ["%"], QueryOptions(min_score=0.9)).hits
        assert surest == tuple(hit for hit in everything if hit.score >= 0.9)
        with pytest.raises(QueryInvalid, match="go with a picture"):
            photos_labelled(index, ["tabby"], QueryOptions(diverse=0.5))
        with pytest.raises(QueryInvalid, match="no label like '%wolpertinger%'"):
            photos_labelled(index, ["%wolpertinger%"])
        assert set(names_kept(index)) == {label for own in by_name(kept[1]).values() for label, _ in own}


def test_with_a_picture_labels_filter(kept: tuple[Path, Path]) -> None:
    with Searcher(kept[1]) as searcher:
        options = QueryOptions(photos=PhotoFilter(labels=("tiger cat", "missile")))
        hits = searcher.query_path(kept[0] / "c" / "coffee.png", options).hits
        assert sorted(names_of(hits)) == ["chelsea.png", "rocket.png"]


CONDITIONS: list[tuple[str, Callable[[str, list[str]], bool]]] = [
    ("label = 'Espresso'", lambda name, own: "espresso" in own),
    ("label != 'espresso'", lambda name, own: "espresso" not in own),
    ("label like '%CAT'", lambda name, own: any(label.endswith("cat") for label in own)),
    ("label not like '%c%'", lambda name, own: not any("c" in label for label in own)),
    ("label in ('tabby', \"missile\")", lambda name, own: {"tabby", "missile"} & set(own) != set()),
    ("label is null", lambda name, own: False),
    ("label is not null and name like 'c%'", lambda name, own: name[0] == "c"),
    # and binds closer than or
    (
        "label = 'tabby' or label = 'espresso' and name = 'again.png'",
        lambda name, own: "tabby" in own or ("espresso" in own and name == "again.png"),
    ),
    (
        "(label = 'tabby' or label = 'espresso') and not name = 'again.png'",
        lambda name, own: bool({"tabby", "espresso"} & set(own)) and name != "again.png",
    ),
    ("label = 'jack-o''-lantern'", lambda name, own: "jack-o'-lantern" in own),
]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS, ids=[one for one, _ in CONDITIONS])
def test_conditions(kept: tuple[Path, Path], condition: str, holds: Callable[[str, list[str]], bool]) -> None:
    truth = {name: [label for label, _ in own] for name, own in by_name(kept[1]).items()}
    with Index.open(kept[1]) as index:
        found = set(ids_where(index, PhotoFilter(where=condition)).tolist())
        for photo in index.photos():
            names = [os.path.basename(path) for path in photo.paths]
            assert (photo.id in found) == any(holds(name, truth[name]) for name in names), names


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("label = 'tiger cta'", r"character 9 \('tiger cta'\): There is no label.*tiger cat"),
        ("label in ('tabby', 'x1')", "character 20 .*There is no label 'x1'"),
        ("label < 'tabby'", "character 7 .*= != like in or is"),
        ("label between 'a' and 'b'", "character 7 "),
        ("label = 3", "a text in quotes"),
    ],
)
def test_conditions_that_cannot_be_read(condition: str, told: str) -> None:
    with pytest.raises(QueryInvalid, match=told):
        PhotoFilter(where=condition)


# Facts of a photo


def test_the_facts_of_a_photo(kept: tuple[Path, Path]) -> None:
    photo = kept[0] / "c" / "coffee.png"
    done = simsearch("info", photo, "-i", kept[1])
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr) == (0, b"")
    assert lines[0] == f"path     {photo}"
    assert lines[1].startswith("size     600 x 400 pixels, ")
    assert lines[1].endswith(" kB, PNG")
    assert [line for line in lines if line.startswith("copies")] == [f"copies   {kept[0] / 'again.png'}"]
    share = by_name(kept[1])["coffee.png"][0][1]
    assert next(line for line in lines if line.startswith("labels")).split() == [
        *("labels", f"{share / 1e6:.1%}", "espresso")
    ]
    [facts] = json.loads(simsearch("info", photo, "-i", kept[1], "--json").stdout)
    [(number, sha256)] = rows(
        kept[1],
        "SELECT c.id, hex(c.sha256) FROM contents c JOIN files f ON f.content_id = c.id WHERE f.relpath = ?",
        b"c/coffee.png",
    )
    assert facts["id"] == number
    assert facts["sha256"] == sha256.lower()
    assert (facts["width"], facts["height"], facts["format"]) == (600, 400, "PNG")
    assert (facts["bytes"], facts["state"], facts["no_labels"]) == (photo.stat().st_size, "unchanged", None)
    assert [(label["name"], round(label["probability"] * 1e6)) for label in facts["labels"]] == by_name(
        kept[1]
    )["coffee.png"]


def test_photos_that_are_not_in_the_index(kept: tuple[Path, Path]) -> None:
    good, skipped, strange = kept[0] / "again.png", kept[0] / "broken.jpg", kept[0] / "no.jpg"
    done = simsearch("info", strange, skipped, good, "-i", kept[1])
    assert done.returncode == 1
    first, second = done.stderr.decode().splitlines()
    assert first.startswith(f"Error: {strange} is not in the index at {kept[1]}. ")
    [(reason,)] = rows(kept[1], "SELECT reason FROM files WHERE relpath = ?", b"broken.jpg")
    assert second == f"Error: {skipped} was skipped: {reason}. It is tried again when it changes."
    assert done.stdout.decode().startswith(f"path     {good}\n")
    usage = simsearch("info", good, "--skipped", "-i", kept[1])
    assert usage.returncode == 2


def test_a_photo_that_changed_or_went(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    picture(1).save(photo)
    age(photo.parent)
    index_folder(photo.parent, tmp_path / "index", IndexingConfig(choice=ModelChoice(model=LITE0)))
    with Index.open(tmp_path / "index") as index:
        assert photo_facts(index, photo).state == "unchanged"
        picture(2).save(photo)
        assert photo_facts(index, photo).state == "changed"
        photo.unlink()
        assert photo_facts(index, photo).state == "missing"
        with pytest.raises(NotIndexed):
            photo_facts(index, tmp_path / "photos")


# The command line


def test_query_label(kept: tuple[Path, Path]) -> None:
    done = simsearch("query", "--label", "tabby", "--label", "espresso", "-k", "1", "-i", kept[1], "--json")
    [result] = json.loads(done.stdout)
    assert result["query"] == "tabby, espresso"
    assert [hit["path"] for hit in result["hits"]] == [str(kept[0] / "again.png")]
    unknown = simsearch("query", "--label", "Retriever", "-i", kept[1])
    assert unknown.returncode == 2
    assert b"There is no label 'Retriever'. Did you mean" in unknown.stderr
    for option in (("--plus", "a.jpg"), ("--minus", "a.jpg"), ("--crop", "0,0,1,1"), ("--diverse", "0")):
        alone = simsearch("query", "--label", "tabby", *option, "-i", kept[1])
        assert (alone.returncode, b"need a picture: give an IMAGE or --id" in alone.stderr) == (2, True)


# Indexes without labels


def test_photos_pooled_otherwise_get_none(small_photos: Callable[[int], Path], tmp_path: Path) -> None:
    weights = tmp_path / "random.pth"
    checkpoint_of("resnet18", weights)
    choice = ModelChoice("resnet18", str(weights), pooling="gem", runtime="torch")
    notes: list[str] = []
    index_folder(small_photos(2), tmp_path / "index", IndexingConfig(choice=choice), note=notes.append)
    with Index.open(tmp_path / "index") as index:
        told = index.info().no_labels
        assert told == "a classifier takes the average of a photo, and these are pooled by gem"
        with pytest.raises(QueryInvalid, match="no labels: a classifier takes the average"):
            photos_labelled(index, ["tabby"])
        with pytest.raises(QueryInvalid, match="no labels: a classifier takes the average"):
            ids_where(index, PhotoFilter(where="label = 'tabby'"))
    assert rows(tmp_path / "index", "SELECT name FROM sqlite_master WHERE name = 'labels'") == []


def test_a_checkpoint_without_a_classifier_is_told_once(
    small_photos: Callable[[int], Path], tmp_path: Path
) -> None:
    weights, index = tmp_path / "random.pth", tmp_path / "index"
    checkpoint_of("resnet18", weights, fc__weight=None, fc__bias=None)
    config = IndexingConfig(choice=ModelChoice("resnet18", str(weights), runtime="torch"))
    folder, notes = small_photos(2), []
    index_folder(folder, index, config, note=notes.append)
    assert "The photos get no labels: the checkpoint has no classifier." in notes
    picture(9).save(folder / "a" / "more.jpg")
    notes.clear()
    index_folder(folder, index, config, note=notes.append)
    assert not any("labels" in line for line in notes)
    lines = simsearch("info", "-i", index).stdout.decode().splitlines()
    assert "labels        none: the checkpoint has no classifier" in lines
    assert (
        "labels   none: the checkpoint has no classifier"
        in simsearch(*("info", folder / "a" / "more.jpg", "-i", index)).stdout.decode().splitlines()
    )


def test_an_index_made_before_labels_were_kept(own: tuple[Path, Path], tmp_path: Path) -> None:
    """It stays without, so that no label finds some photos only; the first run with a new photo says so."""
    folder, index = tmp_path / "more", own[1]
    rows(index, "DROP TABLE labels")
    rows(index, "DELETE FROM settings WHERE key = 'labels'")
    assert verify(index).ok
    folder.mkdir()
    notes: list[str] = []
    index_folder((), index, note=notes.append)
    assert notes == []
    picture(3).save(folder / "new.png")
    index_folder(folder, index, note=notes.append)
    why = "the index was made by an import, or before labels were kept"
    assert notes.count(f"The photos get no labels: {why}.") == 1
    notes.clear()
    picture(4).save(folder / "newer.png")
    index_folder(folder, index, note=notes.append)
    assert not any("labels" in line for line in notes)
    assert rows(index, "SELECT name FROM sqlite_master WHERE name = 'labels'") == []
    with Index.open(index) as opened:
        assert opened.info().no_labels == "the index was made by an import, or before labels were kept"
        facts = photo_facts(opened, folder / "new.png")
        assert (facts.labels, facts.no_labels) == ((), opened.info().no_labels)
        assert names_kept(opened) == ()


# Damage and what goes


def test_a_damaged_label_is_told_and_dropped(own: tuple[Path, Path]) -> None:
    index = own[1]
    [(damaged,)] = rows(index, "SELECT max(id) FROM labels")
    before = rows(index, "SELECT * FROM labels ORDER BY id")
    rows(index, "UPDATE labels SET millionths = millionths + 1 WHERE id = ?", damaged)
    [problem] = verify(index).problems
    assert "table labels" in problem.what
    assert "--repair" in problem.mend
    notes: list[str] = []
    with WriterLock(index):
        repair(index, notes.append)
    assert "1 labels of photos were damaged and are lost; the photos keep their others." in notes
    assert rows(index, "SELECT * FROM labels ORDER BY id") == before[:-1]
    assert verify(index).ok


def test_labels_go_with_their_photo_and_come_back_with_it(
    small_photos: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, index = small_photos(6), tmp_path / "index"
    config = IndexingConfig(choice=ModelChoice(model=LITE0), prune=True, yes=True)
    index_folder(folder, index, config)
    everything = rows(index, "SELECT content_id, class, millionths FROM labels ORDER BY id")
    (folder / "a").rename(tmp_path / "away")
    index_folder(folder, index, config)
    # Until compaction a photo that comes back is adopted, with its labels.
    (tmp_path / "away").rename(folder / "a")
    assert index_folder(folder, index, config).embedded == 0
    assert rows(index, "SELECT content_id, class, millionths FROM labels ORDER BY id") == everything
    shutil.rmtree(folder / "a")
    index_folder(folder, index, config)
    compact(index)
    left = rows(index, "SELECT content_id, class, millionths FROM labels ORDER BY id")
    contents = {number for (number,) in rows(index, "SELECT id FROM contents")}
    assert len(left) == 15
    assert left == [row for row in everything if row[0] in contents]
    assert verify(index).ok
