"""Training of a derived network: optimiser, warm-up, falling rate, drop-path, auxiliary head, clipping.

The recipe is DARTS' evaluation (arXiv 1806.09055, appendix A.2; its public code, cnn/train.py).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from archgrad.errors import InputError, NotFiniteError
from archgrad.network.averaging import Averaging
from archgrad.network.carried import handed_on, penalty_of, state_of
from archgrad.network.kinds import Network, kind_of
from archgrad.optimisers import cosine_rate, linear_rate, load_named_state, named_state
from archgrad.processes import Processes, average_gradients, share_buffers

if TYPE_CHECKING:
    from archgrad.runs.settings import TrainSettings

__all__ = [
    "Emit",
    "TrainState",
    "TrainingStoppedError",
    "drop_probability",
    "learning_rate",
    "make_optimizer",
    "train_network",
]

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Any, Tensor], Tensor]


class TrainData(Protocol):
    """What training asks of the data."""

    def steps(self, part: str) -> int:
        """Return the number of batches of one epoch of a part's stream."""
        ...

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        """Return the endless stream of a part's batches from a position on."""
        ...

    def once(self, part: str) -> Iterator[Batch]:
        """Return one pass over a part, in order, as it is."""
        ...


class TrainTask(Protocol):
    """What training asks of the task."""

    def training_loss(self, label_smoothing: float) -> Loss:
        """Return the loss of (output, targets) with smoothed labels."""
        ...

    def evaluate(self, network: Any, batches: Any) -> dict[str, float]:
        """Return the metrics of ``network(inputs)`` over batches."""
        ...


class TrainingStoppedError(Exception):
    """A listener asked for a stop in the middle of an epoch; the state is whole and can be resumed."""


class TrainState:
    """Everything that training changes; a checkpoint is this.

    Args:
        network: on its device.
        settings: of the optimiser, the schedule and the regularisation.
        seed: of the drop-path masks.

    Attributes:
        kind: of the network.
        epoch: epochs done.
        step: optimiser steps done.
        position: batches taken from the stream.
        hidden: of text, the state behind the last batch, for the streams of all processes; None where a text begins.
        averaging: the running mean of the weights, where there is one.
    """

    def __init__(self, network: Network, settings: TrainSettings, *, seed: int = 0) -> None:
        self.network, self.kind = network, kind_of(network.blueprint)
        self.kind.lay_out(network)
        self.settings, self.seed = settings, seed
        self.optimizer = make_optimizer(network, settings)
        self.epoch = self.step = self.position = 0
        self.sums = {"loss": 0.0, "right": 0.0, "examples": 0.0}
        self.hidden: Tensor | None = None
        self.averaging = Averaging(settings.average_after)

    @property
    def result(self) -> Network:
        """The network that comes of the training: the averaged one where weights are averaged."""
        return self.averaging.network or self.network

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a tree of tensors and plain data, the optimiser's by parameter name."""
        return {
            "network": dict(self.network.state_dict()),
            "optimizer": named_state(self.optimizer, dict(self.network.named_parameters())),
            "epoch": self.epoch,
            "step": self.step,
            "position": self.position,
            "sums": dict(self.sums),
            "hidden": self.hidden,
            "averaging": self.averaging.state_dict(),
        }

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take up a tree that :meth:`state_dict` returned."""
        self.network.load_state_dict(tree["network"])
        load_named_state(self.optimizer, dict(self.network.named_parameters()), tree["optimizer"])
        self.epoch, self.step, self.position = tree["epoch"], tree["step"], tree["position"]
        self.sums = dict(tree["sums"])
        self.hidden = None if tree["hidden"] is None else tree["hidden"].to(next(self.network.parameters()).device)
        self.averaging.load_state_dict(tree["averaging"], self.network)


Emit = Callable[[str, TrainState, dict[str, Any]], bool | None]
"""Called with ("step" | "epoch", state, record); True asks for a stop after this event."""


def make_optimizer(network: Network, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name, over all weights of a network.

    Args:
        network: on its device.
        settings: ``optimizer``, ``rate``, ``decay`` and, for SGD, ``momentum``.
    """
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), settings.rate, weight_decay=settings.decay)
    return torch.optim.SGD(network.parameters(), settings.rate, momentum=settings.momentum, weight_decay=settings.decay)


def learning_rate(settings: TrainSettings, epoch: int, share: float) -> float:
    """Return the rate of a step: linear from 0 over the warm-up, then one value an epoch down to ``rate_end``.

    Args:
        settings: ``rate``, ``rate_end``, ``rate_schedule``, ``warmup`` and ``epochs``; a constant rate has no end.
        epoch: epochs done.
        share: how much of the current epoch is done after this step, in (0, 1].
    """
    if epoch < settings.warmup:
        return settings.rate * (epoch + share) / settings.warmup
    if settings.rate_schedule == "constant":
        return settings.rate
    progress = (epoch - settings.warmup) / (settings.epochs - settings.warmup)
    falling = linear_rate if settings.rate_schedule == "linear" else cosine_rate
    return falling(settings.rate, settings.rate_end, progress)


def drop_probability(settings: TrainSettings, epoch: int) -> float:
    """Return the drop-path probability of an epoch: linear from 0 towards ``drop_path`` at the end."""
    return settings.drop_path * epoch / settings.epochs


def train_network(
    state: TrainState,
    data: TrainData,
    task: TrainTask,
    emit: Emit,
    *,
    part: str = "train",
    precision: str = "fp32",
    processes: Processes | None = None,
) -> None:
    """Train until the last epoch, from wherever the state stands.

    Args:
        state: changed in place; between two events it is always whole.
        data: where the batches come from.
        task: gives the loss.
        emit: told of every step and epoch; writes logs and checkpoints, shows progress.
        part: what is trained on; ``train`` is everything but the test part. Trained on another part, the network is
            measured on ``validation`` after every epoch.
        precision: "fp32", or "bf16" for autocast.
        processes: which of how many processes this is.

    Raises:
        InputError: the warm-up leaves no epoch, or a batch is too small for batch norm.
        NotFiniteError: a loss or a gradient is not finite; the state is as it was before that step, but for the
            batch-norm statistics.
        TrainingStoppedError: a listener asked for a stop at a step.
    """
    settings = state.settings
    if settings.warmup >= settings.epochs:
        raise InputError(
            f"train.warmup is {settings.warmup} epochs and the whole training has {settings.epochs}; take less warm-up."
        )
    if settings.average_after and not state.kind.held_out:
        raise InputError(
            "train.average_after waits for the validation loss to stop falling, and networks of this kind train on "
            "that part too; it is for language models. Set train.average_after=0."
        )
    loss_of, processes = task.training_loss(settings.label_smoothing), processes or Processes()
    batches = data.steps(part)
    stream = data.stream(part, state.position)
    while state.epoch < settings.epochs:
        started, end = time.perf_counter(), (state.epoch + 1) * batches
        state.network.train()
        state.kind.begin_epoch(state.network, drop_probability(settings, state.epoch))
        while state.position < end:
            group = list(islice(stream, min(settings.accumulate, end - state.position)))
            rate = learning_rate(settings, state.epoch, 1 - (end - state.position - len(group)) / batches)
            record = _step(state, group, loss_of, rate, precision, processes, batches)
            if emit("step", state, record):
                raise TrainingStoppedError
        share_buffers(state.network)
        held_out = part != "train" or state.kind.held_out
        validation = _validation(state, data, task) if held_out else None
        sums, seconds = state.sums, time.perf_counter() - started
        record = {
            "epoch": state.epoch + 1,
            "loss": sums["loss"] / sums["examples"],
            **({"train_accuracy": sums["right"] / sums["examples"]} if state.kind.classifies else {}),
            "validation": validation,
            "rate": rate,
            **({"averaged": state.averaging.network is not None} if settings.average_after else {}),
            "seconds": seconds,
        }
        if validation is not None:
            state.averaging.judge(state.network, validation["loss"])
        state.epoch += 1
        state.sums = dict.fromkeys(state.sums, 0.0)
        if emit("epoch", state, record):
            return


def _step(
    state: TrainState,
    group: list[Batch],
    loss_of: Loss,
    rate: float,
    precision: str,
    processes: Processes,
    batches: int,
) -> dict[str, Any]:
    """Do one optimiser step on the mean gradient of a few batches and return its record."""
    settings, parameters = state.settings, list(state.network.parameters())
    device = parameters[0].device
    totals = torch.zeros(3, device=device)
    state.optimizer.zero_grad(set_to_none=True)
    hidden = None if state.hidden is None else processes.share(state.hidden)
    with _drop_path_masks(device, state.seed, state.step, processes.rank):
        for position, (x, y) in enumerate(group, start=state.position):
            if position % batches == 0:
                hidden = None  # every epoch reads the text from its beginning
            if len(x) < 2:
                raise InputError("One example alone cannot be normalised: train.batch must be at least 2 a process.")
            with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
                output, extra = state.kind.forward(state.network, x, *handed_on(hidden))
            output = output.float()
            hidden = state_of(output)
            loss = loss_of(output, y)
            right = state.kind.right(output, y)
            totals += torch.stack([loss.detach() * len(x), right, torch.full_like(right, len(x))])
            if extra is not None:
                loss = loss + settings.auxiliary * loss_of(extra.float(), y)
            if (penalty := penalty_of(output)) is not None:
                loss = loss + penalty
            (loss / len(group)).backward()
    # losses travel with the gradients, so that all processes see the same and stop at the same step
    *gradients, mean = average_gradients([*(p.grad for p in parameters), totals], [*parameters, totals])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    norm = clip_grad_norm_(parameters, settings.clip or math.inf)
    *measured, norm_value = torch.cat([totals if mean is None else mean, norm.reshape(1)]).tolist()
    value = measured[0] / measured[2]
    if not (math.isfinite(value) and math.isfinite(norm_value)):
        raise NotFiniteError(
            f"At step {state.step + 1} (epoch {state.epoch + 1}) of the training the loss is {value} and the norm of "
            f"its gradient {norm_value}. Usually the learning rate is too high (--set train.rate=...) or the data "
            "holds extreme values."
        )
    for options in state.optimizer.param_groups:
        options["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.averaging.update(state.network)
    state.hidden = None if hidden is None else processes.gather(hidden)
    for name, amount in zip(("loss", "right", "examples"), measured, strict=True):
        state.sums[name] += amount
    state.step += 1
    state.position += len(group)
    return {"step": state.step, "epoch": state.epoch + 1, "loss": value, "rate": rate}


def _validation(state: TrainState, data: TrainData, task: TrainTask) -> dict[str, float]:
    network = state.result.eval()
    with torch.no_grad():
        return task.evaluate(state.kind.measured(network), data.once("validation"))


@contextmanager
def _drop_path_masks(device: torch.device, seed: int, step: int, rank: int) -> Iterator[None]:
    """Draw this step's masks as a function of (seed, step, rank), and leave the global generators alone."""
    digest = hashlib.sha256(f"drop-path {seed} {step} {rank}".encode()).digest()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        yield
