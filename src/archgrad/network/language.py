"""Language models around a recurrent cell: tokens in, and for every token scores of the next one out.

Supernets and derived networks share what stands before and behind the cell. Torch alone is imported: a standalone
export copies this file behind ``recurrent_cells.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from archgrad.network.recurrent import variational_mask
from archgrad.network.recurrent_cells import Recurrence

__all__ = [
    "LanguageEnds",
    "LanguageNetwork",
    "LanguageStep",
    "LstmRecurrence",
    "Reading",
    "activation_square",
    "slowness",
]


def slowness(states: Tensor) -> Tensor:
    """Return the mean of (h_{t+1} - h_t)^2 over a window: temporal activation regularisation (arXiv 1708.01009).

    Args:
        states: h of every step as the cell gives it, [T, N, H]; one step alone is not slow or fast, and gives 0.
    """
    return (states[1:] - states[:-1]).square().mean() if len(states) > 1 else states.new_zeros(())


def activation_square(states: Tensor) -> Tensor:
    """Return the mean of h^2 over a window: activation regularisation (arXiv 1708.01009).

    Args:
        states: [T, N, H], behind the output's dropout.
    """
    return states.square().mean()


class Reading(NamedTuple):
    """What a network makes of a window of text, before any score is computed: scores are large.

    Attributes:
        states: what is scored, [T, N, H].
        last: the hidden state behind the last token, with which the next window goes on.
        embedding: a row for every token of the vocabulary, [V, H]; the scores are products with them.
        bias: of the scores, [V].
        penalty: what training adds to the loss; None where there is nothing to add.
    """

    states: Tensor
    last: Tensor
    embedding: Tensor
    bias: Tensor
    penalty: Tensor | None = None

    def scores(self) -> Tensor:
        """Return the scores of every next token, [T, N, V]."""
        return functional.linear(self.states, self.embedding, self.bias)

    def float(self) -> Reading:
        """Return it in single precision, for the loss."""
        return self._replace(states=self.states.float(), last=self.last.float())


class LanguageEnds(nn.Module):
    """Embeds tokens and scores the next one, with one matrix for both (arXiv 1608.05859).

    Args:
        tokens: size of the vocabulary V.
        width: features H of an embedding; the recurrent cell's units.
        dropout_embedding: probability of dropping a whole word's embedding (DARTS' evaluation: 0.1).
        dropout_output: variational dropout before the scores (DARTS: 0.75).
        slowness: factor on :func:`slowness` in the training loss (DARTS: 0.001).
        activation: factor on :func:`activation_square` in the training loss (DARTS: 0).
    """

    def __init__(
        self,
        tokens: int,
        width: int,
        dropout_embedding: float = 0.0,
        dropout_output: float = 0.0,
        slowness: float = 0.0,
        activation: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout_embedding, self.dropout_output = dropout_embedding, dropout_output
        self.slowness, self.activation = slowness, activation
        self.embedding = nn.Parameter(torch.empty(tokens, width).uniform_(-0.1, 0.1))
        self.bias = nn.Parameter(torch.zeros(tokens))

    def start_from(self, scores: Tensor) -> None:
        """Let the bias be these scores [V], such as the logarithms of the tokens' frequencies."""
        with torch.no_grad():
            self.bias.copy_(scores)

    def enter(self, tokens: Tensor) -> Tensor:
        """Return the embeddings [T, N, H] of tokens [T, N]."""
        table: Tensor = self.embedding
        if self.training and self.dropout_embedding > 0.0:
            kept = 1.0 - self.dropout_embedding
            table = table * table.new_empty(len(table), 1).bernoulli_(kept) / kept
        return functional.embedding(tokens, table)

    def leave(self, states: Tensor, last: Tensor) -> Reading:
        """Return what the scores of states [T, N, H] follow from.

        Args:
            states: of every step.
            last: the hidden state behind them.
        """
        mask = variational_mask(states, states.shape[2], self.dropout_output if self.training else 0.0)
        dropped, penalty = states if mask is None else states * mask, None
        if self.training and (self.slowness > 0.0 or self.activation > 0.0):
            penalty = self.slowness * slowness(states) + self.activation * activation_square(dropped)
        return Reading(dropped, last, self.embedding, self.bias, penalty)


class LstmRecurrence(nn.Module):
    """An LSTM of torch in the place of a found cell: what found cells are compared with.

    Args:
        blueprint: plain data with ``inputs``, ``hidden`` and, optionally, ``dropout_input`` (variational).
    """

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.hidden: int = blueprint["hidden"]
        self.dropout_input = float(blueprint.get("dropout_input") or 0.0)
        self.lstm = nn.LSTM(blueprint["inputs"], self.hidden)

    @property
    def state_width(self) -> int:
        """Numbers of a hidden state: those of the output and those of the memory."""
        return 2 * self.hidden

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the states of all steps [T, N, H], and the last one with the memory [N, 2H].

        Args:
            x: [T, N, inputs].
            hidden: output and memory before the first step, [N, 2H]; zeros when None.
        """
        mask = variational_mask(x, x.shape[2], self.dropout_input if self.training else 0.0)
        before = x.new_zeros(x.shape[1], 2 * self.hidden) if hidden is None else hidden
        h, c = before[None].chunk(2, dim=-1)
        states, (h, c) = self.lstm(x if mask is None else x * mask, (h.contiguous(), c.contiguous()))
        return states, torch.cat([h[0], c[0]], dim=-1)


class LanguageNetwork(nn.Module):
    """A derived recurrent cell as a language model with tied embeddings: tokens [T, N] -> scores [T, N, V].

    Args:
        blueprint: plain data with ``recurrence`` (see :class:`archgrad.network.recurrent_cells.Recurrence`; with
            ``lstm`` true see :class:`LstmRecurrence`), ``tokens``, and optionally ``dropout_embedding``,
            ``dropout_output``, ``slowness`` and ``activation``. ``kind`` and ``window`` are for those who save it.
    """

    input_dtype = torch.long

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self.blueprint = blueprint
        core = blueprint["recurrence"]
        self.core = LstmRecurrence(core) if core.get("lstm") else Recurrence(core)
        names = ("dropout_embedding", "dropout_output", "slowness", "activation")
        rest = {name: float(blueprint.get(name) or 0.0) for name in names}
        self.ends = LanguageEnds(blueprint["tokens"], core["hidden"], **rest)

    @property
    def state_width(self) -> int:
        """Numbers of a hidden state."""
        return self.core.state_width if isinstance(self.core, LstmRecurrence) else self.core.hidden

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scores of every next token [T, N, V] and the last state [N, :attr:`state_width`].

        Args:
            tokens: int64 [T, N].
            hidden: the state before the first token; zeros when None.
        """
        reading = self.read(tokens, hidden)
        return reading.scores(), reading.last

    def read(self, tokens: Tensor, hidden: Tensor | None = None) -> Reading:
        """Return what the scores of the next tokens follow from; arguments as in :meth:`forward`."""
        return self.ends.leave(*self.core(self.ends.enter(tokens), hidden))


class LanguageStep(nn.Module):
    """One step of a language model: (token, state) -> (scores of the next token, state), for programs that go by steps.

    Args:
        network: the model; its weights are shared.
    """

    def __init__(self, network: LanguageNetwork) -> None:
        super().__init__()
        self.network, self.blueprint = network, network.blueprint

    def forward(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of the next token [N, V] and the state behind this one.

        Args:
            token: int64 [N].
            state: before it, [N, state_width]; zeros at the beginning of a text.
        """
        scores, last = self.network(token[None], state)
        return scores[0], last
