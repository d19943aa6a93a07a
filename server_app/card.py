"""The model card, ``model/README.md``: what was trained, on what, how well, and how to load it. Every word is of the run.

The licence is for whoever publishes the model: it depends on the data and on the trunk.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from client_app.inference.description import ADAPTER, TRUNK, Description
from client_app.trunk import TINY
from concord.config import RunConfig
from concord.functional.retrieval import COORDINATES
from server_app.results import Result
from strategies.registry import METHODS

CARD = "README.md"
HEAD = """---
library_name: {library}
tags:
- concord
- federated-learning
- multimodal
# license: choose one that the data and the trunk allow
---
"""
CONCORD = """```python
from concord import load_model
model = load_model(".")
model.embed("{modality}", model.anchors.of("{modality}").x)
```"""
PEFT = """```python
from peft import PeftModel
from transformers import AutoModel
trunk = PeftModel.from_pretrained(AutoModel.from_pretrained("{trunk}"), "{adapter}")
```"""
TRANSFORMERS = """```python
from transformers import AutoModel
trunk = AutoModel.from_pretrained("{trunk}")
```"""


def model_card(config: RunConfig, about: Description, result: Result) -> str:
    """The card of a model, in Markdown."""
    library = "pytorch" if config.of_graphs else "transformers" if config.adapter_kind == "full" else "peft"
    parts = [
        HEAD.format(library=library),
        f"# {config.method} on {config.suite}: {', '.join(about.modalities)}\n",
        table(["", ""], _facts(config, about, result).items()),
        "## Data\n",
        _data_of(config),
        table(
            ["node", "modalities", "training samples", "with a label"],
            ((n.name, ", ".join(n.modalities), str(n.examples), str(n.labelled)) for n in result.nodes),
        ),
        "## Figures\n",
        f"Of one run with seed {result.seed}.\n",
        table(["test", "modality", "accuracy", "macro F1", "test samples"], _accuracies(result)),
        _retrieval(result),
        "## Load it\n",
        "From the folder of this file:\n",
        _loading(config, about.modalities),
        "## Limits\n",
        "\n".join(f"- {limit}" for limit in _limits(config, about, result)),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; names in it come from others, so nothing in a cell is markup."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{letter}" if letter in "\\|`*[]" else letter for letter in escaped)


def _facts(config: RunConfig, about: Description, result: Result) -> dict[str, str]:
    trained = "whole trunk" if config.adapter_kind == "full" else f"{config.adapter_kind} of rank {config.adapter.rank}"
    own = "one for each modality" if config.adapter_scope == "modality" else "one for all modalities"
    network = (
        {"network": config.architecture} if config.of_graphs else {"trunk": config.model.trunk, "trained": f"{trained}, {own}"}
    )
    return {
        "method": f"{config.method}: {METHODS[config.method].summary}",
        "scenario": config.scenario,
        "rounds": str(result.rounds),
        "classes": f"{len(about.concepts)}: {', '.join(about.concepts)}",
        **network,
        "anchors": about.anchors,
        "versions": ", ".join(f"{name} {version}" for name, version in result.versions.items()),
    }


def _data_of(config: RunConfig) -> str:
    from client_app.data.registry import SUITES  # a second to import, once a run

    suite = SUITES.get(config.suite)
    if suite is None:
        return f"Suite {config.suite}.\n"
    origin = f" Origin: {suite.origin}." if suite.origin else ""
    return f"Suite {suite.name}: {suite.what}. Licences of the data: {suite.licence}.{origin}\n"


def _accuracies(result: Result) -> Iterable[Sequence[str]]:
    for split, by_modality in result.accuracy.items():
        for modality, figure in sorted(by_modality.items()):
            yield split, modality, _number(figure.accuracy), _number(figure.macro_f1), str(figure.examples)


def _retrieval(result: Result) -> str:
    rows = [
        (split, pair.replace("->", " to "), _number(figure.precision_at_10), _number(figure.map))
        for split, spaces in result.retrieval.items()
        for pair, figure in spaces.get(COORDINATES, {}).items()
    ]
    if not rows:
        return ""
    return "Retrieval of the same class by anchor coordinates:\n\n" + table(
        ["test", "from, to", "precision at 10", "mean average precision"], rows
    )


def _loading(config: RunConfig, modalities: Sequence[str]) -> str:
    if config.of_graphs:
        return "`network.safetensors` holds the tensors of the network as `group/name`.\n"
    part = f"/{modalities[0]}" if config.adapter_scope == "modality" else ""
    if config.adapter_kind == "full":
        plain = TRANSFORMERS.format(trunk=f"{TRUNK}{part}")
    else:
        plain = PEFT.format(trunk=TRUNK, adapter=f"{ADAPTER}{part}")
    own = f" of {modalities[0]}; the other modalities have their own beside it" if part else ""
    return f"{CONCORD.format(modality=modalities[0])}\n\nThe trunk alone{own}:\n\n{plain}\n"


def _limits(config: RunConfig, about: Description, result: Result) -> Iterable[str]:
    yield "It knows the classes above and no others."
    if config.model.trunk == TINY and not config.of_graphs:
        yield "The trunk was not pretrained: it knows nothing but what it learnt in this run."
    if config.adapter_kind == "dora" and not config.of_graphs:
        yield "The figures are those of the nodes with the magnitudes that each keeps; here magnitudes are as before round 1."
    if not about.heads_are_trained:
        yield "Heads stayed with the nodes: those here have learnt nothing."
    if result.rejections:
        yield f"{len(result.rejections)} replies of nodes were left out."
    if result.rounds_kept:
        yield f"After {len(result.rounds_kept)} of {result.rounds} rounds the model stayed as it was."


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
