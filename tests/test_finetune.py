"""Fine-tuning: parts, figures, what learns in each phase, kills, and an index of its outcome."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from conftest import picture, simsearch
from PIL import Image
from sklearn.metrics import average_precision_score
from torch import nn

from simsearch import Index, index_folder
from simsearch.engine.indexing import IndexingConfig
from simsearch.errors import RootMissing, SimsearchError
from simsearch.framing import Framing
from simsearch.models.backbone import build_network
from simsearch.models.choice import ModelChoice, resolve
from simsearch.models.registry import get_backbone
from simsearch.models.weights.files import read_digest
from simsearch.models.weights.importing import import_weights
from simsearch.models.weights.recipe import Recipe, read_recipe
from simsearch.training.finetune import finetune
from simsearch.training.network import Learner, set_rates
from simsearch.training.pictures.augment import Augmentation
from simsearch.training.pictures.collection import Collection, read_collection
from simsearch.training.pictures.frames import Frames
from simsearch.training.records import FinetuneConfig
from simsearch.training.retrieval import average_precisions
from simsearch.views.figures import interval

LITE = "efficientnet_lite0"


def weave(kind: int, seed: int, side: int = 112) -> Image.Image:
    """Stripes of a direction and width by `kind`; colours, phase and noise are the picture's own."""
    rng = np.random.default_rng((kind, seed))
    angle, width = np.pi * (kind % 4) / 4, 5 + 6 * (kind // 4)
    y, x = np.mgrid[:side, :side]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / width + rng.uniform(0, 7))
    colours = rng.uniform(0, 255, (2, 3))
    share = (wave[..., None] + 1) / 2
    pixels = share * colours[0] + (1 - share) * colours[1] + rng.normal(0, 12, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def weaves(folder: Path, kinds: int, each: int) -> Path:
    for kind in range(kinds):
        (folder / f"kind{kind}").mkdir(parents=True)
        for seed in range(each):
            weave(kind, seed).save(folder / f"kind{kind}" / f"{seed}.png")
    return folder


def easy(folder: Path, kinds: int = 3, each: int = 6) -> Path:
    """Classes of one picture each, in several sizes: nothing is left to learn."""
    for kind in range(kinds):
        (folder / f"kind{kind}").mkdir(parents=True)
        for n in range(each):
            picture(kind, (160 + 8 * n, 160 + 8 * n)).save(folder / f"kind{kind}" / f"{n}.png")
    return folder


def collect(folder: Path, seed: int = 0) -> Collection:
    with Frames(2, Framing(64, 64)) as frames:
        return read_collection(folder, frames, seed, lambda done, total: None)


# The figure that everything is judged by


def test_average_precision_is_what_one_works_out_by_hand() -> None:
    # At 0, 10, 20 and 90 degrees. Each asks the three others, by cosine: for the first, a at 10 degrees is of
    # its class b at 20, a at 90: right ones come first and third: (1/1 + 2/3) / 2.
    angles = np.radians([0, 10, 20, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 0, 1, 0])
    found = average_precisions(vectors, labels)
    # The third asks for no one. The second: 0 and 20 degrees are equally near, then 90. The fourth: b, a, a.
    assert found == pytest.approx([(1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2], abs=1e-3)


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, 4, 40)
    scores = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    expected = []
    for n in range(40):
        others = np.arange(40) != n
        expected.append(average_precision_score(labels[others] == labels[n], scores[n][others]))
    assert average_precisions(vectors, labels) == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_equal_differences_is_that_difference() -> None:
    assert interval(np.full(9, 0.25)) == (0.25, 0.25)


# Pictures and their parts


def test_a_fifth_is_held_out_and_a_fifth_validates(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for name, count in (("four", 4), ("six", 6), ("ten", 10), ("three", 3)):
        (folder / name / "deep").mkdir(parents=True)
        for n in range(count):
            picture(n * 10 + count).save(folder / name / ("deep" if n % 2 else "") / f"{n}.png")
    found = collect(folder)
    assert found.classes == ("four", "six", "ten")
    assert found.left_out == ("three",)
    counts = [
        [sum(p.label == label for p in part) for part in (found.training, found.validation, found.held_out)]
        for label in range(3)
    ]
    assert counts == [[2, 0, 2], [2, 2, 2], [6, 2, 2]]
    parts = (found.training, found.validation, found.held_out)
    assert len({p.digest for part in parts for p in part}) == 20
    assert collect(folder) == found
    assert collect(folder, seed=1).fingerprint() != found.fingerprint()


def test_copies_are_one_picture_and_what_cannot_teach_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for kind in range(2):
        (folder / f"{kind}").mkdir(parents=True)
        for n in range(4):
            picture(10 * kind + n).save(folder / f"{kind}" / f"{n}.png")
    shutil.copy(folder / "0" / "0.png", folder / "0" / "copy.png")
    picture(99).save(folder / "0" / "both.png")
    shutil.copy(folder / "0" / "both.png", folder / "1" / "both.png")
    (folder / "1" / "cut.png").write_bytes((folder / "1" / "0.png").read_bytes()[:500])
    (folder / "1" / "words.txt").write_text("no picture")
    found = collect(folder)
    assert len(found.training) + len(found.held_out) == 8
    assert found.validation == ()
    told = {os.path.relpath(item.path, folder): item.reason for item in found.skipped}
    assert told.keys() == {"0/both.png", "1/both.png", "1/cut.png"}
    assert told["0/both.png"] == "the same picture is in class 1"
    # Files may move and change names: the parts hang on the bytes.
    (folder / "0" / "0.png").unlink()
    (folder / "0" / "1.png").rename(folder / "0" / "z.png")
    assert collect(folder).fingerprint() == found.fingerprint()


def test_too_few_pictures_are_an_error_that_counts_them(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="no folder with pictures"):
        collect(tmp_path / "none")
    folder = easy(tmp_path / "classes", kinds=2, each=4)
    (folder / "kind1" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for n in range(3):
        picture(n).save(folder / f"{n}.png")
    with pytest.raises(
        SimsearchError, match=r"kind0: 4, kind1: 3.*directly in it: 3 files.*0\.png was skipped"
    ):
        collect(folder)


def test_the_same_number_makes_the_same_change() -> None:
    change = Augmentation(48, "bicubic")
    pixels = np.asarray(picture(1, (120, 90)))
    before = torch.get_rng_state()
    first, again, other = change(pixels, 7), change(pixels, 7), change(pixels, 8)
    assert first.dtype == torch.uint8
    assert first.shape == (3, 48, 48)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


# What learns


@pytest.fixture
def learner() -> Learner:
    resolved = resolve(ModelChoice(LITE))
    return Learner(resolved.spec, Path(resolved.weights_path), 3, seed=0)


def one_step(learner: Learner, optimizer: torch.optim.Optimizer) -> tuple[dict[str, float], set[str]]:
    """Largest change of head and backbone by one step, and the buffers that changed."""
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    pixels = torch.stack([torch.from_numpy(np.asarray(picture(n, (224, 224))).copy()) for n in range(4)])
    loss = nn.functional.cross_entropy(learner(pixels.permute(0, 3, 1, 2)), torch.tensor([0, 1, 2, 0]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    changed = {
        name: float((value - before[name]).abs().max())
        for name, value in learner.state_dict().items()
        if not torch.equal(value, before[name])
    }
    largest = {"head": 0.0, "features": 0.0}
    for name, size in changed.items():
        part = name.partition(".")[0]
        largest[part] = max(largest[part], size)
    return largest, changed.keys() & {name for name, _ in learner.named_buffers()}


def test_a_seed_may_have_any_number_of_digits(learner: Learner) -> None:
    resolved = resolve(ModelChoice(LITE))
    seeds = (10**30, 10**30 + 1)
    heads = [Learner(resolved.spec, Path(resolved.weights_path), 3, seed=seed).head.weight for seed in seeds]
    assert not torch.equal(*heads)
    assert not torch.equal(heads[0], learner.head.weight)


def test_frozen_the_backbone_keeps_weights_and_statistics(learner: Learner) -> None:
    optimizer = torch.optim.AdamW(learner.head.parameters(), lr=1e-3, weight_decay=0)
    largest, buffers = one_step(learner, optimizer)
    # Adam's first step moves every value by the rate.
    assert largest == {"head": pytest.approx(1e-3, rel=0.01), "features": 0.0}
    assert buffers == set()


def test_then_all_layers_learn_at_two_rates_and_statistics_stay(learner: Learner) -> None:
    learner.learn_all()
    optimizer = learner.optimizer(1e-3, 1e-5)
    largest, buffers = one_step(learner, optimizer)
    assert largest["head"] == pytest.approx(1e-3, rel=0.02)
    # A weight of 1 that decays by a hundredth of the rate moves as well.
    assert largest["features"] == pytest.approx(1e-5, rel=0.1)
    assert buffers == set()
    decays = {
        group["highest"]: group["weight_decay"] for group in optimizer.param_groups if group["weight_decay"]
    }
    assert decays == {1e-3: 0.01, 1e-5: 0.01}


def test_rates_rise_in_the_first_epoch_and_fall_by_a_cosine() -> None:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": 2.0, "highest": 2.0}])
    rates = []
    for step in range(8):
        set_rates(optimizer, step, 2, 8)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:3] == [1.0, 2.0, 2.0]
    assert rates[5] == pytest.approx(1.0)
    assert rates[7] == pytest.approx(1.0 + np.cos(np.pi * 5 / 6))


@pytest.mark.parametrize("name", [LITE, "resnet18"])
def test_a_network_that_embeds_never_runs_in_train_mode(name: str, tmp_path: Path) -> None:
    if name == "resnet18":
        torch.manual_seed(0)
        place = tmp_path / "resnet18.pth"
        torch.save(torchvision.models.resnet18(weights=None).state_dict(), place)
        spec = get_backbone(name).spec(read_digest(place).sha256)
    else:
        resolved = resolve(ModelChoice(name))
        spec, place = resolved.spec, Path(resolved.weights_path)
    network = build_network(spec, place)
    with pytest.raises(SimsearchError, match="stays in eval mode"):
        network.train()
    assert not any(module.training for module in network.modules())
    pixels = torch.stack(
        [torch.from_numpy(np.asarray(picture(n, (spec.crop, spec.crop))).copy()) for n in range(3)]
    )

    def unmoved() -> bool:
        """Whether a picture's vector is the same alone and among others."""
        with torch.inference_mode():
            return torch.allclose(network(pixels[:1]), network(pixels)[:1], atol=1e-5)

    assert unmoved()
    # The check has an edge: statistics of the batch would be seen.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    assert not unmoved()


# A whole training


@pytest.mark.proof
def test_it_learns_weaves_and_an_index_of_its_outcome_has_its_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, out = weaves(tmp_path / "weaves", 8, 10), tmp_path / "weaves.safetensors"
    notes: list[str] = []
    config = FinetuneConfig(LITE, epochs=3, backbone_rate=1e-4, device="cpu")
    report = finetune(folder, out, config, note=notes.append)
    assert [(count.training, count.validation, count.held_out) for count in report.classes] == [(6, 2, 2)] * 8
    assert report.after > report.before + 0.05
    assert report.helped
    assert report.low <= report.after - report.before <= report.high
    assert [line.partition(":")[0] for line in notes] == [f"Epoch {n}" for n in (1, 2, 3)]
    best = max(epoch.validation or 0 for epoch in report.epochs)
    assert report.epochs[report.best - 1].validation == best
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weaves", "weaves.safetensors"]

    # The index runs on ONNX; the judgement of the training was made by torch.
    choice = ModelChoice(LITE, str(out), runtime="onnx")
    index_folder([folder], tmp_path / "index", IndexingConfig(choice))
    spec = resolve(choice).spec
    assert spec.weights_sha256 == report.sha256
    held = collect(folder).held_out
    with Index.open(tmp_path / "index") as index:
        ids = [index.vector_id_of(digest=item.digest) for item in held]
        stored = index.vectors([number for number in ids if number is not None])
    with Frames(2, spec.framing) as frames, torch.inference_mode():
        learner = Learner(spec, out, 8, seed=0)
        (pixels,) = frames.batches(held, len(held))
        judged = learner.vectors(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)).numpy()
    assert (stored * judged).sum(axis=1).min() >= 0.9999
    labels = np.array([item.label for item in held])
    assert average_precisions(stored, labels).mean() == pytest.approx(report.after, abs=0.005)


@pytest.mark.proof
def test_killed_and_gone_on_with_it_comes_to_the_same_file(tmp_path: Path) -> None:
    folder = easy(tmp_path / "easy", kinds=2)

    def arguments(name: str, *more: str) -> list[str]:
        options = ["--out", str(tmp_path / name), "--model", LITE, "--epochs", "2", "--device", "cpu"]
        return ["finetune", str(folder), *options, *more]

    whole = simsearch(*arguments("whole.safetensors", "--json"))
    # Nothing was left to learn, which is told, and the file is there all the same.
    assert whole.returncode == 3, whole.stderr
    assert b"It did not help" in whole.stderr
    told = json.loads(whole.stdout)
    assert told["held_out_mAP"] == {"before": 1.0, "after": 1.0, "difference_95": [0.0, 0.0]}
    assert told["helped"] is False
    assert told["best_epoch"] == 1

    state = tmp_path / "again.safetensors.training"
    kill_after(arguments("again.safetensors"), "Epoch 1")
    assert state.exists()
    assert not (tmp_path / "again.safetensors").exists()
    (tmp_path / "again.safetensors.training.1.ab.part").write_bytes(b"killed while it wrote")
    again = simsearch(*arguments("again.safetensors", "--resume", "--json"))
    assert again.returncode == 3, again.stderr
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert json.loads(again.stdout)["epochs"] == told["epochs"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.safetensors",
        "easy",
        "whole.safetensors",
    ]


def kill_after(arguments: list[str], line: str) -> None:
    """Runs the command line and kills it as soon as stderr has a line that begins so."""
    command = [sys.executable, "-m", "simsearch", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        assert child.stderr is not None
        assert any(told.startswith(line) for told in child.stderr)
        child.kill()
    assert child.returncode == -signal.SIGKILL


def test_files_in_the_way_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder, out = tmp_path / "nothing", tmp_path / "a.safetensors"
    config = FinetuneConfig(LITE)
    with pytest.raises(SimsearchError, match=r"has to end in \.safetensors"):
        finetune(folder, tmp_path / "a.pth", config)
    with pytest.raises(SimsearchError, match="no folder"):
        finetune(folder, tmp_path / "none" / "a.safetensors", config)
    with pytest.raises(SimsearchError, match="no training to go on with"):
        finetune(folder, out, FinetuneConfig(LITE, resume=True))
    out.touch()
    with pytest.raises(SimsearchError, match="is not replaced"):
        finetune(folder, out, config)
    out.unlink()
    (tmp_path / "a.safetensors.training").touch()
    with pytest.raises(SimsearchError, match="Add --resume"):
        finetune(folder, out, config)


@pytest.mark.parametrize(("names", "told"), [(("train", "Val"), True), (("test", "cats"), False)])
def test_parts_of_a_data_set_are_not_taken_for_classes_unnoticed(
    tmp_path: Path, names: tuple[str, str], told: bool
) -> None:
    folder = easy(tmp_path / "data", kinds=2, each=4)
    for kind, name in enumerate(names):
        (folder / f"kind{kind}").rename(folder / name)

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "measuring":
            raise KeyboardInterrupt

    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        finetune(
            folder,
            tmp_path / "a.safetensors",
            FinetuneConfig(LITE, device="cpu"),
            progress=interrupt,
            note=notes.append,
        )
    assert any(line.startswith("The classes are called Val and train.") for line in notes) is told


def test_only_the_same_training_is_gone_on_with(tmp_path: Path) -> None:
    folder, out = easy(tmp_path / "easy", kinds=2, each=4), tmp_path / "a.safetensors"
    with pytest.raises(SimsearchError, match="no training to go on with"):
        finetune(folder, out, FinetuneConfig(LITE, resume=True, device="cpu"))
    (tmp_path / "a.safetensors.training").write_bytes(b"PK")
    with pytest.raises(SimsearchError, match="is not the state of a training"):
        finetune(folder, out, FinetuneConfig(LITE, resume=True, device="cpu"))
    (tmp_path / "a.safetensors.training").unlink()

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "epoch 1":
            raise KeyboardInterrupt

    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        finetune(folder, out, FinetuneConfig(LITE, device="cpu"), progress=interrupt, note=notes.append)
    assert notes[-1].startswith("Stopped after epoch 0, whose state is kept in ")
    with pytest.raises(SimsearchError, match="with other options"):
        finetune(folder, out, FinetuneConfig(LITE, resume=True, seed=1, device="cpu"))


# What the file tells of itself


def test_a_checkpoint_tells_how_its_pictures_are_prepared(
    tmp_path: Path, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is imported would be known to every later test of this process.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    from simsearch.training.checkpoint import write_checkpoint

    recipe = Recipe(LITE, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 200, 192, "bilinear")
    write_checkpoint(tmp_path / "a.safetensors", learner.features.state_dict(), recipe)
    assert read_recipe(tmp_path / "a.safetensors") == recipe
    imported = import_weights(tmp_path / "a.safetensors", name="mine").imported
    assert (imported.model, imported.mean, imported.crop, imported.interpolation) == (
        LITE,
        (0.1, 0.2, 0.3),
        192,
        "bilinear",
    )
    assert resolve(ModelChoice("mine")).spec.resize == 200
    # `index --weights` needs no --model with it.
    told = resolve(ModelChoice(weights=str(tmp_path / "a.safetensors"))).spec
    assert (told.backbone, told.resize, told.crop) == (LITE, 200, 192)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 8, b"\xff" * 20, b"\x02\0\0\0\0\0\0\0{}", b"PK\x03\x04" * 9]
)
def test_any_other_file_tells_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    assert read_recipe(tmp_path / "a.pth") is None
    assert read_recipe(tmp_path / "none") is None


@pytest.mark.parametrize(
    "change", [{"crop": 300}, {"resize": 0}, {"std": [0, 1, 1]}, {"interpolation": "sinc"}, {"model": 3}]
)
def test_a_recipe_that_makes_no_sense_is_none(change: dict[str, object], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    sound = json.loads(Recipe(LITE, (0.5,) * 3, (0.5,) * 3, 256, 224, "bicubic").metadata()["simsearch"])
    save_file(
        {"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"simsearch": json.dumps({**sound, **change})}
    )
    assert read_recipe(tmp_path / "a.safetensors") is None
