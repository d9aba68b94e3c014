"""One ResNet-50 checkpoint for all that are compared, in the layout that torchvision itself loads."""

from __future__ import annotations

from pathlib import Path


def write_checkpoint(weights: Path | None, target: Path) -> Path:
    """Write the parameters of a file as float32 with a head of zeros, or random ones where there is no file.

    How long a network takes does not depend on its weights.
    """
    import torch
    from torchvision.models import resnet50

    from simsearch.models.weights.checkpoint import read_checkpoint

    torch.manual_seed(0)
    state = resnet50().state_dict()
    if weights is not None:
        state |= {key: torch.zeros_like(value) for key, value in state.items() if key.startswith("fc.")}
        state |= {
            key: value.to(state[key].dtype) for key, value in read_checkpoint(weights).items() if key in state
        }
    torch.save(dict(state), target)
    return target
