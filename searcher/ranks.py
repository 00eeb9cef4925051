"""Several processes that train one network: what they add up between them, and who waits for whom.

``torchrun`` starts them.  The first one leads (``pace.leads``): it alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pace import leads

Said = TypeVar("Said")


def several() -> bool:
    """Whether this process is one of several."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def together(device: str) -> Iterator[None]:
    """In this block the processes that torchrun started, if it did, are one group.

    They leave it together: gloo's threads abort an interpreter that ends before its group.
    ``ValueError`` where one of them is gone, which each of the others notices by itself.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
        meet()
    except RuntimeError as error:
        if not is_lost(error):
            raise
        raise ValueError(LOST) from error
    finally:
        dist.destroy_process_group()


def is_lost(error: RuntimeError) -> bool:
    """Whether an error says that another process of the group no longer answers."""
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error)


def meet() -> None:
    """Wait until every process is here."""
    if several():
        dist.barrier()


def decided(look: Callable[[], Said]) -> Said:
    """What the first process sees: it alone looks, since the others would a moment later."""
    said: list[Any] = [look() if leads() else None]
    if several():
        dist.broadcast_object_list(said)
    found: Said = said[0]
    return found


def total(value: Tensor) -> Tensor:
    """The sum over all processes, of any shape; itself where there is but one."""
    if several():
        value = value.clone()
        dist.all_reduce(value)
    return value


def mean(value: Tensor) -> Tensor:
    """The mean over all processes, of any shape."""
    return total(value) / dist.get_world_size() if several() else value


def share_buffers(module: nn.Module) -> None:
    """What the norms of the first process have seen, in all: each has seen images of its own."""
    if several():
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)


def share_gradients(module: nn.Module) -> None:
    """Make every gradient of ``module`` the mean over all processes.

    For what is not wrapped in ``DistributedDataParallel``, which does so by itself.
    """
    if several():
        for p in module.parameters():
            if p.grad is not None:
                p.grad.copy_(mean(p.grad))


LOST = (
    "another process of this job is gone: start the same command again, it goes on from the last "
    "state that was saved"
)
