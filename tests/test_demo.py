"""`make demo`, made small: it ends in the table of the three, the exported network and the report."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import onnxruntime
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with a smaller space and fewer digits."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SETTINGS.update({"space.nodes": 2, "data.limit": 300, "train.channels": 4})
    monkeypatch.setenv("COLUMNS", "100")
    return module


def test_the_demo_ends_in_a_table_an_onnx_file_and_a_report(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "demo"
    run.mkdir()
    (run / "mine.txt").write_text("not to be touched")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--epochs", "1", "--train-epochs", "2", "--run", str(run)])
    demo.main()
    shown = capsys.readouterr().out

    rows = re.findall(
        r"^ +(found network|plain convolutional network|logistic regression) +(\S+) % +(\S+)", shown, re.M
    )
    assert [row[0] for row in rows] == ["found network", "plain convolutional network", "logistic regression"]
    assert float(rows[2][1]) > 95
    assert int(rows[1][2].replace(",", "")) >= int(rows[0][2].replace(",", "")) > 0
    assert "On 359 held-out digits" in shown

    assert [path.name for path in run.iterdir()] == ["mine.txt"]
    written = tmp_path / "demo-2"
    assert (written / "report.html").is_file()
    assert shown.rstrip().endswith(str(written / "report.html"))
    network = onnxruntime.InferenceSession(written / "export" / "network.onnx")
    assert network.get_inputs()[0].shape[1:] == [1, 8, 8]
