"""What the searches by gradients share: how their weights learn, and what they remember."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import nn

from searcher.supernet import Supernet
from sections import Search


class ByGradients(Protocol):
    """A supernet, what moves its architecture and its weights, and the batch that is next."""

    supernet: Supernet
    arch_optimizer: torch.optim.Adam
    weight_optimizer: torch.optim.SGD
    epoch: int
    batch: int


def weights_by_sgd(supernet: Supernet, search: Search) -> torch.optim.SGD:
    """What moves the parameters that compute."""
    return torch.optim.SGD(
        supernet.computing(), search.lr, momentum=0.9, weight_decay=search.weight_decay
    )


def parts(made: ByGradients) -> dict[str, nn.Module | torch.optim.Optimizer]:
    """What has a state."""
    return {
        "supernet": made.supernet,
        "arch_optimizer": made.arch_optimizer,
        "weight_optimizer": made.weight_optimizer,
    }


def state_of(made: ByGradients) -> dict[str, Any]:
    """What the next batch depends on, but the random state, which a checkpoint keeps."""
    saved = {name: part.state_dict() for name, part in parts(made).items()}
    return {"epoch": made.epoch, "batch": made.batch, **saved}


def restore(made: ByGradients, state: Mapping[str, Any]) -> None:
    """Go on from what :func:`state_of` gave."""
    made.epoch, made.batch = state["epoch"], state["batch"]
    for name, part in parts(made).items():
        part.load_state_dict(state[name])
