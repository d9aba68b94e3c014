"""The peers that take a folder of photos: what they need, their script, and what of ours is their rival."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.asking import Answer, ask
from benchmarks.peers.environments import ensure

FASTDUP = ("fastdup==2.54",)
# One environment for three: none asks for what another refuses, and torch takes gigabytes.
TORCH = ("imagededup==0.3.3.post2", "img2vec_pytorch==1.0.2", "DeepImageSearch==3.0.3")


@dataclass(frozen=True, slots=True)
class PhotoPeer:
    """A program that takes a folder: environment, script below scripts/photos, its arguments after FOLDER.

    Without a name of an environment it runs in the one of simsearch. CHECKPOINT among the arguments stands
    for the file of the shared weights. `rival` is the model of ours that it is compared with, or None where
    the work is another.
    """

    name: str
    environment: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()
    rival: str | None = None

    def run(self, folder: Path, checkpoint: Path) -> Answer:
        """Install it where that was not done yet, and run it over the folder. Raises PeerMissing."""
        own = not self.environment
        python = Path(sys.executable) if own else ensure(self.environment, self.requirements)
        arguments = [str(checkpoint) if word == CHECKPOINT else word for word in self.arguments]
        return ask(python, f"photos/{self.script}", [folder, *arguments])


CHECKPOINT = "CHECKPOINT"
RESNET, LITE = "resnet50", "efficientnet_lite0"
FASTDUP_PEER = PhotoPeer("fastdup", "fastdup", FASTDUP, "fastdup_run.py", rival=LITE)
LOOP = PhotoPeer("torchvision DataLoader loop", "", (), "loader.py", (CHECKPOINT,), RESNET)
PEERS = (
    LOOP,
    PhotoPeer("img2vec_pytorch", "torch_peers", TORCH, "img2vec_run.py", (CHECKPOINT,), RESNET),
    PhotoPeer("DeepImageSearch", "torch_peers", TORCH, "deepimagesearch_run.py", (CHECKPOINT,), RESNET),
    PhotoPeer(
        "imagededup CNN, ResNet-50",
        "torch_peers",
        TORCH,
        "imagededup_run.py",
        ("resnet50", CHECKPOINT),
        RESNET,
    ),
    PhotoPeer("imagededup CNN as it comes", "torch_peers", TORCH, "imagededup_run.py", ("cnn",), LITE),
    PhotoPeer("imagededup PHash", "torch_peers", TORCH, "imagededup_run.py", ("phash",)),
    FASTDUP_PEER,
)
