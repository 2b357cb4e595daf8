"""The program says what it can at once: counted by what it imports, so that no busy machine matters.

Measured when this was written: ``archgrad --help`` 0.27 processor seconds, ``import archgrad`` 0.09.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW_HELP = """
import contextlib, io, sys
sys.argv = ["archgrad", "--help"]
from archgrad.cli import main
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    main()
assert "search" in shown.getvalue()
"""

COUNT = """
import sys
heavy = {"torch", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "rich", "pydantic", "yaml", "PIL"}
print(len(sys.modules), *sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(("code", "most"), [("import archgrad", 130), (SHOW_HELP, 250)], ids=["import", "help"])
def test_little_is_imported(code: str, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", code + COUNT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, *heavy = done.stdout.split()
    print(f"{count} modules imported, of {most} at most")
    assert not heavy
    assert int(count) <= most
