"""Makes the table of torchvision's classifiers: each built at random, exported, compared on both runtimes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simsearch.models.record import Backbone
from simsearch.models.sources import torchvision as source

if TYPE_CHECKING:
    from torch import Tensor, nn

TABLE = Path(source.__file__).with_name("torchvision.csv")
COLUMNS = (
    *("name", "dim", "resize", "crop", "interpolation", "mean", "std", "megabytes", "file", "weights"),
    *("licence", "tensors", "runtime"),
)
EQUAL = 0.9999
SECONDS = 1200


@click.command("backbones")
@click.argument("names", nargs=-1)
@click.option("--one", is_flag=True, hidden=True, help="Measure one network in this process, as JSON.")
def backbones(names: tuple[str, ...], one: bool) -> None:
    """Write the table of torchvision's classifiers anew, or the rows of NAMES.

    Each network is built with random weights in a process of its own, exported to ONNX and run on three
    pictures of noise by torch and by onnxruntime; "onnx" is written where the lowest cosine is .9999 or more.
    """
    if one:
        print(json.dumps(measure(names[0])))
        return
    rows = {row["name"]: row for row in _read()}
    for name in names or _all_names():
        command = [sys.executable, "-m", "benchmarks", "backbones", name, "--one"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            click.echo(f"{name}: {done.stderr.strip().splitlines()[-1]}")
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        click.echo(f"{name}: {row.pop('told')}")
        rows[name] = row
        _write(rows)


def measure(name: str) -> dict[str, Any]:
    """A row of the table, and under "told" what came of the export."""
    warnings.simplefilter("ignore")
    import numpy as np
    import torch

    from simsearch.models.backbone import EmbeddingNetwork, remove_head
    from simsearch.models.onnx_graph import export
    from simsearch.models.runners import OnnxRunner, available_threads

    row, backbone = _facts(name)
    torch.manual_seed(0)
    network = source.build(backbone)
    linears = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    row["dim"] = linears[-1].in_features
    remove_head(network, "avg")
    row["tensors"] = sum(not key.endswith("num_batches_tracked") for key in network.state_dict())
    embedding = EmbeddingNetwork(network, backbone.spec("0" * 64)).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, backbone.crop, backbone.crop, 3), dtype=np.uint8)
    settle(embedding, torch.from_numpy(pixels))
    with torch.inference_mode():
        expected = embedding(torch.from_numpy(pixels)).numpy()
    try:
        graph = export(embedding, backbone.spec("0" * 64))
        lowest = float(
            (OnnxRunner(graph, available_threads(), backbone.dim).run(pixels) * expected).sum(axis=1).min()
        )
        row["runtime"] = "onnx" if lowest >= EQUAL else "torch"
        row["told"] = f"dim {row['dim']}, onnx of {len(graph) / 1e6:.0f} MB, lowest cosine {lowest:.6f}"
    except Exception as exc:  # whatever the exporter raises, the network then runs on torch
        row["runtime"] = "torch"
        row["told"] = f"dim {row['dim']}, no onnx: {' '.join(str(exc).split())[:160]}"
    return row


def settle(network: nn.Module, pictures: Tensor) -> None:
    """Give every batch normalisation the statistics of these pictures, uint8 (n, crop, crop, 3).

    Without them the activations of a random network fade or grow from layer to layer, until the direction
    of its vectors is rounding alone, which no two runtimes share.
    """
    import torch

    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    network.eval()
    if not norms:
        return
    for norm in norms:
        norm.train()
        norm.momentum = None
    with torch.inference_mode():
        network(pictures)
    network.eval()


def _facts(name: str) -> tuple[dict[str, Any], Backbone]:
    from torchvision.models import get_model_weights

    weights: Any = get_model_weights(name)
    best = weights.DEFAULT
    transforms = best.transforms()
    swag = "SWAG" in best.name
    row = {
        "name": name,
        "dim": 0,
        "resize": transforms.resize_size[0],
        "crop": transforms.crop_size[0],
        "interpolation": transforms.interpolation.value,
        "mean": " ".join(map(str, transforms.mean)),
        "std": " ".join(map(str, transforms.std)),
        # torchvision counts in units of 2**20 bytes.
        "megabytes": round(best.meta["_file_size"] * 1.048576, 1),
        "file": best.url.removeprefix(source.URL),
        "weights": str(best),
        "licence": "CC-BY-NC-4.0 (SWAG)" if swag else "BSD-3-Clause (trained on ImageNet)",
        "tensors": 0,
        "runtime": "torch",
    }
    record = source.from_row({key: str(value) for key, value in row.items()})
    return row, replace(record, dim=1)


def _all_names() -> list[str]:
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if name not in source.WITHOUT_LINEAR]


def _read() -> list[dict[str, Any]]:
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _write(rows: dict[str, dict[str, Any]]) -> None:
    with TABLE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
