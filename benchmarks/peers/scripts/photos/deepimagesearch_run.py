"""DeepImageSearch: its indexer with ResNet-50 of its timm back end, the checkpoint given, not downloaded."""

from __future__ import annotations

import sys
import time

import timm
import torch
from DeepImageSearch.core.embeddings import TimmEmbedding
from DeepImageSearch.core.indexer import Indexer
from DeepImageSearch.vectorstores.faiss_store import FAISSStore

from benchmarks.peers.scripts.photos.telling import photos_in, tell


def main(folder: str, checkpoint: str) -> None:
    """Index the folder and tell how long it took."""
    started = time.perf_counter()
    embedding = TimmEmbedding("resnet50", pretrained=False, device="cpu")
    network = timm.create_model("resnet50", pretrained=False)
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    # As its own back end cuts the head off.
    embedding.model = torch.nn.Sequential(*list(network.children())[:-1]).eval()
    count = Indexer(embedding, FAISSStore(embedding.dimension)).index(photos_in(folder))
    did = "ResNet-50 by timm, eager float32, and a FAISS store"
    tell(count, time.perf_counter() - started, did, "DeepImageSearch", "timm", "torch")


if __name__ == "__main__":
    main(*sys.argv[1:])
