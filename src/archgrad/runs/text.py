"""Settings as YAML text, read by the rules of YAML 1.2, which people expect: ``1e-3`` is a number, ``no`` a word.

Only plain data is ever built (no tags that make objects), and a key given twice is an error instead of a silent loss.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from archgrad.errors import InputError

__all__ = ["dump_yaml", "load_yaml"]

_RULES: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))"
        r"|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)


class _Loader(yaml.SafeLoader):
    """The safe loader with the rules of YAML 1.2's core schema for what is a number and what is a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, Hashable) else None)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes every text that either version of YAML would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # PyYAML writes the line ends of Unicode unescaped and then reads them as spaces; quoted, it escapes them.
        style = '"' if any(character in data for character in "\r\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

for _tag, _pattern, _first in _RULES:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def load_yaml(text: str, where: str) -> Any:
    """Read YAML into plain data.

    Args:
        text: the YAML.
        where: the file or option it came from, for the message.

    Raises:
        InputError: it is no YAML; the message gives line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{where} is no valid YAML{place}: {error.problem or error.context}.") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        raise InputError(
            f"{where} is no valid YAML at line {line}, column {column}: there is a character that text cannot hold."
        ) from error
    except RecursionError as error:
        raise InputError(f"{where} is no valid YAML: it is nested too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where} is no valid YAML: {error}.") from error


def dump_yaml(document: Any) -> str:
    """Write plain data as YAML, keys in their order; :func:`load_yaml` gives the same data back."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
