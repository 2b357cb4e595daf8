"""``archgrad evaluate``."""

from __future__ import annotations

from archgrad.cli.options import DataOption, DeviceOption, JsonOption, PluginOption, RunArgument, examples
from archgrad.cli.output import kept_clean, metrics_words, print_json, say

NAME = "evaluate"
EXAMPLES = examples("archgrad evaluate runs/darts-digits-s0")


def command(
    run: RunArgument,
    data: DataOption = None,
    device: DeviceOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a trained network on the test part.

    Neither search nor training has seen that part.
    """
    with kept_clean(as_json):
        from archgrad.api.evaluate import evaluate
        from archgrad.api.settings import load_plugin

        load_plugin(plugin)
        metrics = evaluate(run, data=data, device=device or "auto")
    if as_json:
        print_json({"run": str(run), "data": data, "part": "test", "metrics": metrics})
    else:
        say(f"{run}: {metrics_words(metrics)}")
