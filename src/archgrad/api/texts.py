"""``evaluate`` and ``predict`` of a network that reads text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from archgrad.api.reopened import is_of, open_again
from archgrad.errors import InputError
from archgrad.network.kinds import LanguageKind, Network
from archgrad.network.language import LanguageNetwork
from archgrad.tasks.image import Measure
from archgrad.tasks.language import LanguageTask
from archgrad.tasks.text import PARTS
from archgrad.tasks.text_files import read_text
from archgrad.tasks.text_own import is_text
from archgrad.tasks.text_streams import TextData
from archgrad.tasks.text_vocabulary import EOS, UNK, Vocabulary, load_vocabulary

__all__ = ["continued_tokens", "measure_text", "predict_text"]

LENGTH = 100
"""Tokens that a text is continued by where nothing else is said."""


def measure_text(
    network: Network,
    about: Mapping[str, Any],
    data: object,
    device: torch.device,
    part: str,
    loss: Measure | None,
    metrics: Mapping[str, Measure] | None,
) -> dict[str, float]:
    """Return the metrics of a trained language model on a whole text; arguments as in :func:`archgrad.evaluate`.

    Raises:
        InputError: the data are missing or hold no text.
    """
    if isinstance(data, Mapping) and "train" not in data and part in data:
        data = dict.fromkeys(PARTS, data[part]) | {key: data[key] for key in data if key not in PARTS}
    if not (data is None or isinstance(data, str) or is_text(data)):
        raise InputError(
            f"A language model is evaluated on text:PATH, pydoc, hf:NAME or documents; got a {type(data).__name__}."
        )
    if isinstance(data, str) and not is_of("language", about, data):
        raise InputError(f"A language model is evaluated on text:PATH, pydoc or hf:NAME; {data} holds no text.")
    opened = cast(TextData, open_again(about, data, device, {"window": about["input_shape"][0]}))
    # other texts have other words; the network knows those that it was trained on
    read = opened.read_with(load_vocabulary(about["vocabulary"], about.get("tokenizer") or {}))
    task = LanguageTask(loss=loss, metrics=metrics)
    return task.evaluate(LanguageKind().measured(network), read.once(part))


def predict_text(
    network: Network,
    about: Mapping[str, Any],
    inputs: object,
    device: torch.device,
    *,
    length: int = LENGTH,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return how a text goes on; arguments as in :func:`archgrad.predict`.

    Returns:
        One answer: ``prompt``, ``text`` (what follows), and ``unknown``, the prompt's words that are not in the
        vocabulary.

    Raises:
        InputError: the prompt is no text, or a length or temperature makes no sense.
    """
    if isinstance(inputs, Path):
        try:
            inputs = read_text(inputs)
        except OSError as error:
            raise InputError(f"The text {inputs} cannot be read: {error.strerror or error}.") from error
    if not isinstance(inputs, str):
        raise InputError(
            f"A language model continues a text, a str or the Path of a file; got a {type(inputs).__name__}."
        )
    if length < 1 or not temperature >= 0:
        raise InputError(
            f"length is {length} and temperature {temperature}; take at least 1 token and a temperature of at least 0, "
            "where 0 always takes the most likely token."
        )
    vocabulary = load_vocabulary(about["vocabulary"], about.get("tokenizer") or {})
    prompt = _prompt(inputs, vocabulary)
    unk = vocabulary.tokens.index(UNK)
    words = inputs.split()
    unknown = [word for word in words if vocabulary.encode(word)[0] == unk and word != UNK] if unk in prompt else []
    found = continued_tokens(
        cast(LanguageNetwork, network),
        torch.tensor([vocabulary.eos, *prompt], device=device),
        length,
        temperature,
        torch.Generator().manual_seed(seed),
        never=(unk,),
    )
    return [{"prompt": inputs, "text": vocabulary.decode(found), "unknown": list(dict.fromkeys(unknown))}]


@torch.no_grad()
def continued_tokens(
    network: LanguageNetwork,
    tokens: Tensor,
    length: int,
    temperature: float,
    random: torch.Generator,
    never: tuple[int, ...] = (),
) -> list[int]:
    """Return the tokens that follow, each drawn from softmax(scores / temperature) and read before the next.

    Args:
        network: in eval mode.
        tokens: what is read first, int64 [L], at least one.
        length: tokens to draw.
        temperature: 0 takes the most likely token.
        random: where the draws come from, on the CPU.
        never: tokens that are not drawn.
    """
    scores, state = network(tokens[:, None])
    found: list[int] = []
    while True:
        last = scores[-1, 0].double().cpu()
        last[list(never)] = -torch.inf
        if temperature == 0:
            found.append(int(last.argmax()))
        else:
            found.append(int(torch.multinomial((last / temperature).softmax(0), 1, generator=random)))
        if len(found) == length:
            return found
        scores, state = network(tokens.new_tensor([found[-1:]]), state)


def _prompt(text: str, vocabulary: Vocabulary) -> list[int]:
    """Return the tokens of a prompt; its last line is not over unless it ends with a line break."""
    tokens = vocabulary.encode(text)
    open_end = tokens and tokens[-1] == vocabulary.eos and not text.endswith(("\n", EOS))
    return tokens[:-1] if open_end else tokens
