"""From SGD to averaged SGD: once the validation loss stops falling, the network is the running mean of its weights.

The trigger is that of DARTS' code (rnn/train.py), which has it from AWD-LSTM (arXiv 1708.02182, section 5: NT-ASGD).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from archgrad.network.kinds import Network

__all__ = ["Averaging", "stopped_falling"]


def stopped_falling(losses: Sequence[float], latest: float, patience: int) -> bool:
    """Say whether a validation loss is worse than the best one of more than ``patience`` epochs ago.

    Args:
        losses: of the epochs before, oldest first.
        latest: of this epoch.
        patience: n, the non-monotone interval.
    """
    return len(losses) > patience and latest > min(losses[: len(losses) - patience])


class Averaging:
    """The running mean of a network's weights, from the epoch on at which the validation loss stopped falling.

    Args:
        patience: epochs, see :func:`stopped_falling`; 0 for no averaging.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.losses: list[float] = []
        self._mean: AveragedModel | None = None

    @property
    def network(self) -> Network | None:
        """The averaged network; None before the switch."""
        return None if self._mean is None else self._mean.module  # type: ignore[return-value]

    def update(self, network: Network) -> None:
        """Take a step's weights into the mean, if there is one."""
        if self._mean is not None:
            self._mean.update_parameters(network)

    def judge(self, network: Network, loss: float) -> None:
        """Take note of an epoch's validation loss and start the mean when it is time; it holds the steps that follow.

        Args:
            network: as it stands.
            loss: on the validation part.
        """
        if not self.patience:
            return
        if self._mean is None and stopped_falling(self.losses, loss, self.patience):
            self._mean = AveragedModel(network)
        self.losses.append(loss)

    def state_dict(self) -> dict[str, Any]:
        """Return losses and mean as a tree of tensors and plain data."""
        return {"losses": list(self.losses), "mean": None if self._mean is None else dict(self._mean.state_dict())}

    def load_state_dict(self, tree: Mapping[str, Any], like: Network) -> None:
        """Take up a tree that :meth:`state_dict` returned.

        Args:
            tree: the tree.
            like: the network whose weights are averaged.
        """
        self.losses, self._mean = list(tree["losses"]), None
        if tree["mean"] is not None:
            self._mean = AveragedModel(like)
            with torch.no_grad():
                self._mean.load_state_dict(tree["mean"])
