"""Tables of the library ``datasets``: from the Hugging Face hub or a folder, with errors that say what to do.

Programs that come with data are never run: from version 4 on the library cannot, and no older one is accepted.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from archgrad.errors import InputError, unknown
from archgrad.tasks.text_files import PARTS

__all__ = ["DataSet", "chosen_splits"]

Result = TypeVar("Result")

SAVED = ("dataset_dict.json", "dataset_info.json")
"""Files by which a folder is known that ``save_to_disk`` wrote: of several splits, or of one."""


@dataclass(frozen=True)
class DataSet:
    """A data set that is opened when something of it is asked for, and once as long as this object is kept.

    Everything about it raises InputError where it cannot be found, reached or read, or the library is missing.

    Args:
        name: of a data set on the hub, or a path.
        config: which configuration of it; None for the only one.
        revision: which version, on the hub.
    """

    name: str
    config: str | None = None
    revision: str | None = None

    @cached_property
    def features(self) -> Mapping[str, Any]:
        """The types of the columns; the data themselves are read only where nothing else tells."""
        library = _library()
        if not _saved(self.name):
            words = _words(self.name, self.config, self.revision)
            builder = _asked(self.name, self.config, lambda: library.load_dataset_builder(**words))
            if builder.info.features:
                features: Mapping[str, Any] = builder.info.features
                return features
        found: Mapping[str, Any] = next(iter(self.splits.values())).features
        return found

    @cached_property
    def splits(self) -> dict[str, Any]:
        """The splits by name, as tables that lie on the disk."""
        library = _library()
        if _saved(self.name):
            found = _asked(self.name, self.config, lambda: library.load_from_disk(str(Path(self.name).expanduser())))
        else:
            words = _words(self.name, self.config, self.revision)
            found = _asked(self.name, self.config, lambda: library.load_dataset(**words))
        splits: dict[str, Any] = dict(found) if isinstance(found, dict) else {"train": found}
        if not any(len(split) for split in splits.values()):
            raise InputError(f"The data set '{self.name}' is empty.")
        return splits


def chosen_splits(there: Mapping[str, Any], wanted: Mapping[str, str | None], where: str) -> dict[str, Any]:
    """Return the splits for the parts train, validation and test, as far as there are some.

    Args:
        there: name -> split.
        wanted: part -> the name that was given for its split.
        where: the SPEC, for messages.

    Raises:
        InputError: a split does not exist, or none can be told to be the training part.
    """
    found: dict[str, str] = {}
    for part, names in PARTS.items():
        given = wanted.get(part)
        if given is not None and given not in there:
            raise unknown("split", given, there, f"data.{part}_split")
        taken = {other for other in wanted.values() if other is not None}
        known = given or next((name for name in names if name in there and name not in taken), None)
        if known:
            found[part] = known
    if "train" not in found and len(there) == 1:
        found = {"train": next(iter(there))}
    if "train" not in found:
        raise InputError(
            f"No split of {where} is called train; there are {', '.join(there)}. "
            f"Choose one: --set data.train_split={next(iter(there))}"
        )
    if len(set(found.values())) < len(found):
        raise InputError(
            f"One split of {where} is to serve as two parts: "
            + ", ".join(f"data.{part}_split={name}" for part, name in found.items())
        )
    return {part: there[name] for part, name in found.items()}


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f'hf:NAME needs a package that is not installed ({error}). Install it: pip install "archgrad[hf]"'
        ) from error
    if int(datasets.__version__.partition(".")[0]) < 4:
        raise InputError(
            f"hf:NAME needs datasets 4 or newer, here is {datasets.__version__}, which may run programs that come with "
            'data. Renew it: pip install --upgrade "archgrad[hf]"'
        )
    return datasets


def _saved(name: str) -> bool:
    folder = Path(name).expanduser()
    return any((folder / file).is_file() for file in SAVED)


def _words(name: str, config: str | None, revision: str | None) -> dict[str, Any]:
    """Return the library's arguments for a name or a path.

    Raises:
        InputError: it looks like a path, and there is nothing; or it is one of the library's own readers.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return {"path": str(path), "name": config}
    if path.is_file():
        return {"path": str(path.resolve().parent), "data_files": path.name}
    if name.startswith(("/", ".", "~")) or name.count("/") > 1 or path.suffix in (".csv", ".parquet", ".json"):
        raise InputError(f"There is no file or folder '{name}'.")
    # the library would take its reader of that name and read whatever lies in the current folder
    if name.isidentifier() and importlib.util.find_spec(f"datasets.packaged_modules.{name}"):
        raise InputError(
            f"'{name}' is a format and no data set. Give a folder with such files, hf:PATH, or a name from the hub, "
            "such as hf:ylecun/mnist."
        )
    return {"path": name, "name": config, "revision": revision}


def _asked(name: str, config: str | None, ask: Callable[[], Result]) -> Result:
    """Return what the library returns, or raise its error as one for the person who named the data."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    local = Path(name).expanduser().exists()
    try:
        return ask()
    except DatasetNotFoundError as error:
        raise InputError(
            f"There is no data set '{name}' on the Hugging Face hub, or it asks for a login or for consent "
            f"({_first_line(error)}). Names are those of the hub's addresses, such as ylecun/mnist; `hf auth login` "
            "logs in. A folder on the disk is given as hf:PATH."
        ) from error
    except ConnectionError as error:
        raise InputError(
            f"The Hugging Face hub cannot be reached ({_first_line(error)}), and '{name}' is neither kept from an "
            "earlier download nor a path here. Check the name and the network, or give a folder, hf:PATH, as "
            "Dataset.save_to_disk writes it on a machine that has the network."
        ) from error
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        message = str(error)
        known = re.search(r"Available: (\[.*\])|available configs: (\[.*\])", message)
        if known:
            allowed = [str(each) for each in ast.literal_eval(known[1] or known[2])]
            if config is not None:
                raise unknown("configuration", config, allowed, "data.config") from error
            raise InputError(
                f"'{name}' has several configurations: {', '.join(allowed)}. Choose one: --set data.config={allowed[0]}"
            ) from error
        if "scripts are no longer supported" in message:
            raise InputError(
                f"'{name}' is made by a program of its own, which is never run. Take a data set of plain files "
                "(Parquet, CSV, images), perhaps its copy of that kind: --set data.revision=refs/convert/parquet"
            ) from error
        cause = f": {_first_line(error.__cause__)}" if error.__cause__ is not None else ""
        hint = " Such a folder holds Parquet, CSV, JSON, text or image files, or is what save_to_disk wrote."
        raise InputError(f"'{name}' cannot be read ({_first_line(error)}{cause}).{hint if local else ''}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
