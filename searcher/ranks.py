"""Several processes that train one network: what they must add up between them."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn


def several() -> bool:
    """Whether this process is one of several: see ``prepare.fabric_for``."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def total(value: Tensor) -> Tensor:
    """The sum over all processes, of any shape; itself where there is but one."""
    if several():
        value = value.clone()
        dist.all_reduce(value)
    return value


def mean(value: Tensor) -> Tensor:
    """The mean over all processes, of any shape."""
    return total(value) / dist.get_world_size() if several() else value


def share_gradients(module: nn.Module) -> None:
    """Make every gradient of ``module`` the mean over all processes.

    For what is not wrapped in ``DistributedDataParallel``, which does so by itself.
    """
    if several():
        for p in module.parameters():
            if p.grad is not None:
                p.grad.copy_(mean(p.grad))
