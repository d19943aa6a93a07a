"""What files a model folder has, and ``model.json``, which tells what they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from concord.anchors import AnchorSet
from concord.config import RunConfig, Scalar
from concord.errors import ConcordError
from concord.run_folder import atomic_write

DESCRIPTION = "model.json"
TRUNK, ADAPTER, ANCHORS = "trunk", "adapter", "anchors"  # folders
WEIGHTS, ADAPTER_WEIGHTS = "model.safetensors", "adapter_model.safetensors"  # as transformers and peft name them
AGENT_WEIGHTS = "agent.safetensors"


class Description(BaseModel):
    """What ``model.json`` says.

    Attributes:
        concepts: names of the classes, in order.
        anchors: digest of the anchor set.
        modalities: what the model takes.
        config: the run, flat.
        heads_are_trained: whether the heads in the folder have learnt; not where each node kept its own.
        widths: of a graph, the features of each modality.
    """

    model_config = ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True, extra="forbid", frozen=True, strict=True
    )

    schema_version: Literal[1] = 1
    concepts: list[str]
    anchors: str
    modalities: list[str]
    config: dict[str, Scalar]
    heads_are_trained: bool = True
    widths: dict[str, int] | None = None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        anchors: AnchorSet,
        modalities: list[str],
        *,
        heads_are_trained: bool = True,
        widths: dict[str, int] | None = None,
    ) -> Description:
        """The description of a model of a run."""
        return cls(
            concepts=list(anchors.concepts),
            anchors=anchors.digest,
            modalities=modalities,
            config=config.flat(),
            heads_are_trained=heads_are_trained,
            widths=widths,
        )

    def save(self, folder: Path) -> None:
        """Writes the file; it comes last, so that a folder that has one is whole."""
        atomic_write(folder / DESCRIPTION, self.model_dump_json(by_alias=True, indent=1, exclude_none=True) + "\n")


def load_description(folder: Path) -> Description:
    """Reads the file; ConcordError C701 when it is missing or malformed."""
    path = folder / DESCRIPTION
    try:
        return Description.model_validate_json(path.read_bytes())
    except OSError as error:
        raise unusable(path, str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise unusable(path, f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}") from error


def unusable(path: Path, why: str) -> ConcordError:
    """C701."""
    return ConcordError("C701", f"{path}: {why}", "name the folder `model` of a run that has finished, as the run wrote it")
