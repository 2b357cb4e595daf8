"""A network as one Python file beside one .safetensors, for people who will not install archgrad.

The file is made of sources that exist anyway (``parts`` of :mod:`archgrad.network.faces`), with the blueprint as a
literal behind them: no operation
is written a second time, and what is tested here is what leaves the house.
"""

from __future__ import annotations

import ast
import importlib.resources
import json
import keyword
import sys
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from torch import nn

from archgrad._version import __version__
from archgrad.errors import InputError
from archgrad.network import modules
from archgrad.network.faces import face_of
from archgrad.runs.writing import write_atomically, writing

__all__ = ["standalone_source", "write_standalone"]

_LICENCE = '''
It needs Python 3.11 and PyTorch, nothing else, and unpickles nothing.
The code is part of archgrad, Copyright The archgrad authors, under the Apache License 2.0
(https://www.apache.org/licenses/LICENSE-2.0); the blueprint and the weights are those of whoever trained the network.
"""

# SPDX-License-Identifier: Apache-2.0
'''

_TAIL = '''
# What this network is: the {what} in their order, one example's shape, and everything that builds it.

{constant} = {names}

INPUT_SHAPE = {shape}

BLUEPRINT = {blueprint}


def load(path: str | Path | None = None) -> nn.Module:
    """Return the trained network on the CPU, in evaluation mode.

    Args:
        path: the .safetensors file; the one beside this file if not given.

    Raises:
        ValueError: the file is truncated, is no safetensors file or belongs to another network.
    """
    path = Path(__file__).with_suffix(".safetensors") if path is None else Path(path)
    network = {network}(BLUEPRINT)
    try:
        network.load_state_dict(read_safetensors(path))
    except RuntimeError as error:
        raise ValueError(f"{{path}} belongs to another network: its tensors do not fit BLUEPRINT.") from error
    return network.eval()
'''


def write_standalone(
    network: nn.Module, metadata: Mapping[str, Any], folder: str | Path, name: str = "network"
) -> tuple[Path, Path]:
    """Write NAME.py and NAME.safetensors, which need torch and the standard library alone.

    Args:
        network: the trained network; its tensors are written as they are.
        metadata: ``blueprint``, ``classes``, ``series`` or ``vocabulary``, and ``input_shape`` as in model.safetensors.
        folder: where to; it is made if it is missing.
        name: of both files; the name under which the module is imported.

    Returns:
        The paths of the .py and of the .safetensors.

    Raises:
        InputError: the name is no module name, or an operation of the user's own is in the network.
        RunError: the files cannot be written; what was there before is intact.
    """
    from safetensors.torch import save

    if not name.isidentifier() or keyword.iskeyword(name):
        raise InputError(
            f"'{name}' cannot be imported in Python; take letters, digits and underscores, as in 'my_net'."
        )
    source = standalone_source(metadata, name)
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in network.state_dict().items()}
    folder = Path(folder)
    with writing(folder, 0):
        folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.py", folder / f"{name}.safetensors"
    write_atomically(paths[1], save(tensors))
    write_atomically(paths[0], source.encode())
    return paths


def standalone_source(metadata: Mapping[str, Any], name: str = "network") -> str:
    """Return the text of the standalone file.

    Args:
        metadata: ``blueprint``, ``classes``, ``series`` or ``vocabulary``, and ``input_shape`` as in model.safetensors.
        name: of the file.

    Raises:
        InputError: an operation of the user's own is in the blueprint.
    """
    blueprint, shape = _plain(metadata["blueprint"]), list(metadata["input_shape"])
    face = face_of(blueprint)
    names = [str(name) for name in metadata[face.names]]
    _refuse_own_operations(blueprint)
    imports, bodies = _merged_sources(face.parts)
    sides = ", ".join(str(int(side)) for side in shape)
    head = (face.head + _LICENCE).format(version=__version__, name=name, shape=sides, count=len(names))
    tail = _TAIL.format(
        what=face.names,
        constant=face.names.upper(),
        names=_literal(tuple(names)),
        shape=_literal(tuple(int(side) for side in shape)),
        blueprint=_literal(blueprint),
        network=face.network,
    )
    return "\n".join([head + imports, *bodies, tail])


def _plain(blueprint: Any) -> dict[str, Any]:
    """Return the blueprint as JSON keeps it, so that its ``repr`` is a literal and can be nothing else."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(blueprint, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"The network's blueprint is not plain data, so no file can hold it: {error}.") from error
    return plain


def _literal(value: Any) -> str:
    return pformat(value, width=118, compact=True, sort_dicts=False)


def _refuse_own_operations(blueprint: Mapping[str, Any]) -> None:
    """Raise unless every operation is one of ``modules.py``: nobody knows what the source of others leans on."""
    used = {edge[2] for cell in blueprint.get("cells", {}).values() for edge in cell["edges"]}
    own = sorted(name for name in used if getattr(modules.OPERATIONS.get(name), "__module__", None) != modules.__name__)
    if own:
        raise InputError(
            f"The network has the operation '{own[0]}', which is not one of archgrad's: its source may need more than "
            "one file can hold. Export with --to torch or --to onnx, which keep what it computes."
        )


def _merged_sources(parts: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the imports of all parts as one block, and the rest of each part with its docstring as a comment."""
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    bodies = []
    for part in parts:
        source = importlib.resources.files("archgrad.network").joinpath(f"{part}.py").read_text(encoding="utf-8")
        lines, tree = source.splitlines(), ast.parse(source)
        for node in reversed(tree.body):
            if isinstance(node, ast.Import):
                plain |= {ast.unparse(alias) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                members.setdefault(str(node.module), set()).update(ast.unparse(alias) for alias in node.names)
            elif not _names_public(node) and node is not tree.body[0]:
                continue
            del lines[node.lineno - 1 : node.end_lineno]
        title = "\n".join(f"# {line}".rstrip() for line in str(ast.get_docstring(tree)).splitlines())
        bodies.append(f"\n{title}\n\n\n" + "\n".join(lines).strip() + "\n")
    for module in [f"archgrad.network.{part}" for part in parts]:
        members.pop(module, None)
    return _import_block(plain, members, parts), bodies


def _names_public(node: ast.stmt) -> bool:
    """Say whether a statement is ``__all__ = ...``, which would be wrong for the whole."""
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]


def _import_block(plain: set[str], members: dict[str, set[str]], parts: tuple[str, ...]) -> str:
    """Return the imports sorted as usual: future, standard library, torch."""
    groups: dict[str, list[str]] = {"__future__": [], "standard": [], "torch": []}
    lines = [(name, f"import {name}") for name in sorted(plain)]
    for name in sorted(members):
        classes_first = sorted(members[name], key=lambda member: (member[:1].islower(), member))
        lines.append((name, f"from {name} import {', '.join(classes_first)}"))
    for name, line in lines:
        root = name.partition(".")[0]
        if root != "torch" and root not in sys.stdlib_module_names:
            raise RuntimeError(f"{name} cannot be imported in a standalone file; keep it out of {', '.join(parts)}.")
        groups[root if root in groups else "standard"].append(line)
    return "\n" + "\n\n".join("\n".join(group) for group in groups.values() if group) + "\n"
