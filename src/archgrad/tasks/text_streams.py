"""Text as batches: streams side by side that are read window by window, so that a hidden state can go on.

Row b of a batch goes on where row b of the batch before it ended (truncated backpropagation through time, as in DARTS'
code). Batches are [N, T], one row a stream, like those of all other data; networks read them time step by time step.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from archgrad.errors import InputError, unknown
from archgrad.tasks.split import PARTS, generator, seed_of
from archgrad.tasks.text import RawText
from archgrad.tasks.text_vocabulary import Vocabulary

__all__ = ["TextData", "read_once"]


class TextData:
    """A corpus that follows the protocol :class:`archgrad.tasks.data.Data`.

    Inputs are tokens int64 [N, T] and targets the tokens that come next, [N, T]. ``train`` is the training text,
    of which the choices learn from the later and the weights from the earlier part; ``validation`` and ``test`` are
    texts of their own.

    Args:
        raw: the texts, and how they become tokens.
        name: what was asked for.
        seed: of the places at which an epoch's windows begin.
        batch: streams side by side over all processes; fewer where a part is short.
        choice_share: share of the training text that serves the choices.
        device: where the tokens are kept.
        rank: number of this process.
        world: number of processes.
        vocabulary: of a network that was trained before; made of the training text if None.

    Raises:
        InputError: the text is too short, or an option is wrong.
    """

    task = "language"
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __init__(
        self,
        raw: RawText,
        *,
        name: str,
        seed: int,
        batch: int,
        choice_share: float,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        raw.check()
        if not 0 <= choice_share < 1:
            raise InputError(
                f"The choices' share of the training data must be at least 0 and below 1, got {choice_share}."
            )
        self.raw, self.name, self.fingerprint = raw, name, raw.fingerprint
        self._choice_share, self._device = choice_share, device
        self.window, self.seed, self.batch = raw.window, seed, batch
        self.rank, self.world = rank, world
        self.input_shape: tuple[int, ...] = (raw.window,)
        self.vocabulary = raw.read() if vocabulary is None else vocabulary
        texts = {part: getattr(raw, part) for part in ("train", "validation", "test")}
        self._tokens = {part: torch.tensor(self.vocabulary.encode(text)) for part, text in texts.items()}
        train = self._tokens["train"]
        middle = round(len(train) * (1 - choice_share))
        self._tokens["weights"] = train[:middle]
        self._tokens["choices"] = train[middle:] if choice_share else train
        least = {"validation": 1, "test": 1}  # all others are read in streams, each a token and the next one at least
        short = [part for part in PARTS if len(self._tokens[part]) < least.get(part, 2 * world)]
        if short:
            raise InputError(f"The text of {raw.name} is too short: nothing is left for {' and '.join(short)}.")
        self._tokens = {part: tokens.to(device) for part, tokens in self._tokens.items()}

    @property
    def vocabulary_number(self) -> int:
        """A number that tells vocabularies apart: equal ones have the same tokens in the same order."""
        return seed_of("vocabulary", *self.vocabulary.tokens)

    def read_with(self, vocabulary: Vocabulary) -> TextData:
        """Return the same text in the tokens of a network that was trained before."""
        return TextData(
            self.raw,
            name=self.name,
            seed=self.seed,
            batch=self.batch,
            choice_share=self._choice_share,
            device=self._device,
            rank=self.rank,
            world=self.world,
            vocabulary=vocabulary,
        )

    def size(self, part: str) -> int:
        """Return the number of tokens in a part."""
        return len(self.tokens(part))

    def tokens(self, part: str) -> Tensor:
        """Return the tokens of a part, int64."""
        if part not in self._tokens:
            raise unknown("part", part, PARTS)
        return self._tokens[part]

    def log_frequencies(self, part: str) -> Tensor:
        """Return ln((count + 1) / (all + V)) of every token in a part, [V]: what is known before any context is read.

        Scores that start there need not learn how rare words are, which otherwise takes most of a short training.
        """
        size = len(self.vocabulary.tokens)
        counts = torch.bincount(self.tokens(part), minlength=size).double() + 1
        return (counts / counts.sum()).log().float()

    def streams(self, part: str) -> int:
        """Return how many streams of a part run side by side, over all processes: whole windows go before many."""
        most = min(self.batch, max(self.world, (self.size(part) - 1) // (self.window + 1)))
        return max(self.world, most - most % self.world)

    def steps(self, part: str) -> int:
        """Return the windows of one epoch; what is left of a stream lies before the first or behind the last."""
        return max(1, (self.size(part) // self.streams(part) - 1) // self.window)

    def stream(self, part: str, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield windows without end; item i is a pure function of (seed, part, i), and goes on where item i - 1 ended.

        Every ``steps(part)`` items the streams begin again. Where a stream is no whole number of windows, an epoch
        begins some tokens later, drawn anew each time, so that windows do not end at the same places for ever.

        Args:
            part: which part.
            start: number of the first batch; a resumed run goes on where it stopped.
        """
        count, steps = self.streams(part), self.steps(part)
        length = self.size(part) // count
        rows = self.tokens(part)[: count * length].view(count, length)[self.rank :: self.world]
        window = min(self.window, length - 1)
        spare = length - 1 - steps * window
        while True:
            epoch, place = divmod(start, steps)
            draw = torch.randint(spare + 1, (1,), generator=generator(self.seed, "text", part, epoch))
            begin = int(draw) + place * window
            yield rows[:, begin : begin + window], rows[:, begin + 1 : begin + 1 + window]
            start += 1

    def once(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield a part so that every token is a target once; the same in all processes. See :func:`read_once`."""
        yield from read_once(self.tokens(part), self.vocabulary.eos, self.raw.evaluation_streams, self.window)


def read_once(tokens: Tensor, before: int, streams: int, window: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets) in which every token of a text is a target exactly once.

    The text is cut into consecutive pieces that are read side by side; the first ones are longer by one token where it
    does not divide. A last batch of one step then has fewer rows: those that go on.

    Args:
        tokens: int64 [L].
        before: the token that stands before the first one.
        streams: pieces; fewer where there are fewer tokens.
        window: time steps of a batch at most.

    Yields:
        int64 [n, t] each, n <= streams and t <= window; row b goes on where row b of the batch before ended.
    """
    streams = min(streams, len(tokens))
    length, longer = divmod(len(tokens), streams)
    begins = torch.arange(streams) * length + torch.arange(streams).clamp(max=longer)
    known = torch.cat([tokens.new_tensor([before]), tokens])
    for step in range(0, length, window):
        places = begins[:, None] + torch.arange(step, min(step + window, length))
        yield known[places.to(known.device)], tokens[places.to(known.device)]
    if longer:
        places = begins[:longer, None] + length
        yield known[places.to(known.device)], tokens[places.to(known.device)]
