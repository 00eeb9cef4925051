"""Two ends of a training in one network: weights half way between where it began and where it is.

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: what a network learns of other
pictures stays, and much of what it lost on its own comes back, at no cost when it runs.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from models.network import Network


class Blend:
    """Weighted means of the weights that ``network`` has now and of those that it will have."""

    def __init__(self, network: Network, share: float) -> None:
        self.network, self.share = deepcopy(network), share
        self.began = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def of(self, learned: Network) -> Network:
        """The mean with ``share`` of what was; statistics of norms too, counts are the learned.

        It is the same network at every call.
        """
        mean = learned.state_dict()
        for name, began in self.began.items():
            if began.is_floating_point():
                mean[name] = mean[name].lerp(began, self.share)
        self.network.load_state_dict(mean)
        return self.network
