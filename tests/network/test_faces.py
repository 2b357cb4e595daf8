"""A forecaster leaves the house in every form, and gives the same forecasts there."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import cast

import onnxruntime
import pytest
import torch

import archgrad
from archgrad.api.export import export
from archgrad.architecture import Architecture, Cell, Edge
from archgrad.errors import InputError
from archgrad.network.exporting import export_onnx, export_program, inference_copy
from archgrad.network.heads import ForecastNetwork
from archgrad.network.standalone import standalone_source
from archgrad.published import published

GATED = Architecture(
    "two-input-rnn",
    {
        "recurrent": Cell(
            2,
            2,
            (
                *(Edge(0, 2, "tanh", "a"), Edge(1, 2, "sigmoid", "a"), Edge(1, 2, "relu", "b")),
                *(Edge(2, 3, "identity", "a"), Edge(0, 3, "tanh", "b")),
            ),
            (2, 3),
            combine=("multiply", "add"),
            output_combine="learned",
        )
    },
    {"node_norm": True},
)
CELLS = {"darts-rnn": published("DARTS_RNN_V1"), "two-input-rnn": GATED}
SERIES = ("load", "wind", "grün")


def forecaster(space: str) -> ForecastNetwork:
    """Return a forecaster of two of three series, of very different sizes."""
    torch.manual_seed(0)
    network = archgrad.build(
        CELLS[space],
        hidden=5,
        inputs=3,
        horizon=2,
        window=4,
        series=SERIES,
        targets=[2, 0],
        mean=[1000.0, 3.0, -0.5],
        std=[200.0, 1.0, 0.01],
        anchor=True,
    )
    network(torch.randn(8, 4, 3))  # leaves statistics where there are norms
    return cast(ForecastNetwork, network.eval())


@pytest.mark.parametrize("space", list(CELLS))
def test_onnx_and_torch_forecast_batches_that_they_were_not_made_with(space: str) -> None:
    network = cast(ForecastNetwork, inference_copy(forecaster(space)))
    x = torch.randn(7, 4, 3)
    data, difference = export_onnx(network, (4, 3), SERIES)
    assert difference < 1e-4
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given,) = session.run(["forecasts"], {"windows": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(given), network(x), rtol=1e-5, atol=1e-5)
    notes = session.get_modelmeta().custom_metadata_map
    assert (json.loads(notes["series"]), json.loads(notes["targets"])) == (list(SERIES), ["grün", "load"])

    data, _ = export_program(network, (4, 3), SERIES)
    files = {"series.json": "", "targets.json": ""}
    program = torch.export.load(io.BytesIO(data), extra_files=files).module()
    torch.testing.assert_close(program(x), network(x), rtol=1e-5, atol=1e-5)
    assert json.loads(files["targets.json"]) == ["grün", "load"]


@pytest.mark.parametrize("space", list(CELLS))
def test_one_file_of_python_forecasts_where_archgrad_is_not(space: str, tmp_path: Path) -> None:
    # export runs the file in an interpreter that cannot import archgrad, and compares
    result = export(forecaster(space), to="python", out=tmp_path)
    assert result.max_difference < 1e-5 and [path.suffix for path in result.paths] == [".py", ".safetensors"]


def test_the_file_imports_torch_and_the_standard_library_alone() -> None:
    metadata = {"blueprint": forecaster("darts-rnn").blueprint, "series": SERIES, "input_shape": [4, 3]}
    source = standalone_source(metadata)
    assert "import archgrad" not in source and "from archgrad" not in source
    assert "SERIES = ('load', 'wind', 'grün')" in source


def test_a_window_of_unknown_length_is_asked_for(tmp_path: Path) -> None:
    network = archgrad.build(CELLS["darts-rnn"], hidden=4, inputs=3, horizon=2)
    with pytest.raises(
        InputError, match=r"Say which windows the network takes \(rows, series\): input_shape=\(96, 3\)"
    ):
        export(network, to="onnx", out=tmp_path)
    with pytest.raises(InputError, match=r"does not take windows of the shape \(4, 2\); it takes rows of 3 series"):
        export(network, to="onnx", out=tmp_path, input_shape=(4, 2))
