"""``result.json``: the final figures of a run, and the pure functions that make its tables.

The schema is described in docs/run-folder.md. A figure that is not defined (no test samples, no such pair) is
``null`` in the file and NaN in Python. Shape suffixes: N samples of a query modality, D width, C anchor concepts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations, permutations
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from torch import Tensor

from concord.errors import ConcordError
from concord.functional.gram import Estimator, cka
from concord.functional.retrieval import retrieval_scores
from concord.run_folder import atomic_write

RESULT = "result.json"
SCHEMA_VERSION: Final = 1
CUTOFF = 10
FEWEST_CONCEPTS = 4

Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True, extra="forbid", frozen=True, strict=True
    )


class Node(Record):
    """A node as its census told it; examples and labelled ones over its training samples."""

    name: str
    modalities: list[str]
    examples: Count
    labelled: Count


class Accuracy(Record):
    """Share of right answers over all test samples of all nodes of a modality, and F1 averaged over the classes."""

    accuracy: Figure
    macro_f1: Figure = math.nan
    examples: Count


class Retrieval(Record):
    """Precision among the ten nearest, and mean average precision, of one modality asking another."""

    precision_at_10: Figure
    map: Figure


class Ranking(Record):
    """How high right answers rank: mean reciprocal rank, its value by chance, and shares among the first and the first ten."""

    mrr: Figure
    hits_at_1: Figure
    hits_at_10: Figure
    chance: Figure
    questions: Count


class NodeBytes(Record):
    up: Count
    down: Count


class Bytes(Record):
    """Bytes of message contents: means a node and round, totals, and totals by node."""

    up_per_node_round: Figure
    down_per_node_round: Figure
    up_total: Count
    down_total: Count
    nodes: dict[str, NodeBytes] = {}


class Seconds(Record):
    """Wall-clock seconds of the whole run, and the median of its rounds."""

    total: Figure
    per_round: Figure


class Rejection(Record):
    round: Count
    node: str
    reason: str
    detail: str = ""


class Result(Record):
    """Everything in ``result.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str
    suite: str
    scenario: str
    seed: Count
    rounds: Count
    anchors: str = Field(description="digest of the public anchor set")
    nodes: list[Node] = []
    accuracy: dict[str, dict[str, Accuracy]] = Field(default={}, description="split -> modality")
    node_accuracy: dict[str, dict[str, dict[str, Figure]]] = Field(default={}, description="node -> split -> modality")
    retrieval: dict[str, dict[str, dict[str, Retrieval]]] = Field(default={}, description="split -> space -> 'query->gallery'")
    ranking: dict[str, dict[str, Ranking]] = Field(default={}, description="split -> kind of questions")
    cka: dict[str, Figure] = Field(default={}, description="'a|b', a before b")
    bytes: Bytes
    seconds: Seconds
    rejections: list[Rejection] = []
    rounds_kept: list[Count] = Field(default=[], description="rounds after which the old model was kept")
    weights: dict[str, dict[str, Figure]] = Field(default={}, description="group -> node -> share in its last round")
    versions: dict[str, str] = {}


def save_result(run_folder: Path, result: Result) -> Path:
    """Writes ``result.json`` and returns its path."""
    path = run_folder / RESULT
    atomic_write(path, result.model_dump_json(by_alias=True, indent=1) + "\n")
    return path


def load_result(run_folder: Path) -> Result:
    """Reads ``result.json``; ConcordError C405 when it is missing, malformed, or of another schema version."""
    path = run_folder / RESULT
    try:
        return Result.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        hint = f"the run has not finished: continue it with `concord run --resume {run_folder}`"
        raise ConcordError("C405", f"{path}: there is no such file", hint) from error
    except OSError as error:
        raise ConcordError("C405", f"{path}: {error}", "check that the file can be read") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        hint = f"this Concord reads schema version {SCHEMA_VERSION}: write the figures again by finishing the run with it"
        raise ConcordError("C405", f"{path}: {where}: {first['msg']}", hint) from error


def ranking_of(line: Mapping[str, Any]) -> Ranking:
    """The figures of a line of ``metrics.jsonl`` whose scope is ``ranking``."""
    return Ranking.model_validate({name: line[name] for name in ("mrr", "hits-at-1", "hits-at-10", "chance", "questions")})


def retrieval_table(embeddings: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Retrieval]:
    """Retrieval between every ordered pair of different modalities, named ``query->gallery``.

    Args:
        embeddings: per modality z_ND and the class y_N of each row, all in one space. Rows without a class do not
            count, nor does a modality that has no others.
    """
    known = {modality: (z_ND[y_N >= 0], y_N[y_N >= 0]) for modality, (z_ND, y_N) in embeddings.items() if bool((y_N >= 0).any())}
    table: dict[str, Retrieval] = {}
    for query, gallery in permutations(sorted(known), 2):
        precision, mean_average_precision = retrieval_scores(*known[query], *known[gallery], k=CUTOFF)
        table[f"{query}->{gallery}"] = Retrieval(precision_at_10=precision, map=mean_average_precision)
    return table


def cka_table(grams: Mapping[str, tuple[Tensor, Tensor]], estimator: Estimator = "biased") -> dict[str, float]:
    """CKA of every pair of modalities, named ``a|b`` with a before b, over the concepts that both have.

    NaN where they have fewer than four in common: so few tell nothing.

    Args:
        grams: per modality gram_CC, and mask_C of the concepts that it has.
    """
    table: dict[str, float] = {}
    for a, b in combinations(sorted(grams), 2):
        (gram_a, mask_a), (gram_b, mask_b) = grams[a], grams[b]
        common = mask_a & mask_b
        comparable = int(common.sum()) >= FEWEST_CONCEPTS
        table[f"{a}|{b}"] = float(cka(gram_a, gram_b, common, estimator)) if comparable else math.nan
    return table
