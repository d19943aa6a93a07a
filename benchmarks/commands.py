"""How a row of a comparison is run by itself, with `concord run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.markdown import table
from benchmarks.sweep import Case
from concord.config import Scalar
from strategies.registry import METHODS

UNLIKE_SWEEP: Mapping[str, Scalar] = {"share-test-embeddings": False}  # what `concord run` sets otherwise than a sweep does


def commands_section(cases: Iterable[Case]) -> str:
    """The command that all rows have in common and what each adds to it; ValueError where two rows of a name differ."""
    rows: dict[str, tuple[str, dict[str, Scalar]]] = {}
    scenarios: dict[str, str] = {}  # and the suite of each
    for case in cases:
        scenarios[case.scenario] = case.suite
        row = case.row.method, {**UNLIKE_SWEEP, **case.common, **case.row.settings}
        if rows.setdefault(case.row.name, row) != row:
            raise ValueError(f"two rows are called {case.row.name!r}")
    shared = dict(set.intersection(*(set(settings.items()) for _, settings in rows.values())))
    (suite,) = set(scenarios.values())
    command = " ".join(["concord run --suite", suite, "--data DIR --scenario SCENARIO --seed SEED", *_options(shared)])
    own = [
        [name, f"`{' '.join([f'--method {method}', *_options(settings, shared)])}`"]
        for name, (method, settings) in rows.items()
        if method in METHODS
    ]
    return "\n".join(
        [
            "## A run by itself",
            "",
            f"A seed of a row: `{command}`, and the options of the row. Scenarios: {', '.join(f'`{s}`' for s in scenarios)}.",
            "",
            table(["row", "options"], own),
            "",
        ]
    )


def _options(settings: Mapping[str, Scalar], without: Mapping[str, Scalar] | None = None) -> list[str]:
    """``--set KEY=VALUE`` for each setting, in the order of keys."""
    return [f"--set {key}={_toml(value)}" for key, value in sorted(settings.items()) if key not in (without or {})]


def _toml(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
