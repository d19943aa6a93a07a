"""Methods by name, node side."""

from __future__ import annotations

from client_app.methods.fedmchain import FedMChain
from client_app.methods.fedproto import FedProto
from client_app.methods.fedprox import FedProx
from client_app.methods.geolora import GeoLora
from client_app.methods.method import Method
from client_app.methods.self_training import SelfTraining
from client_app.methods.supervised import AnchorsOnly, Centralised, Local, Supervised
from concord.config import RunConfig

METHODS: dict[str, type[Method]] = {
    "geolora": GeoLora,
    "fedavg": Supervised,
    "fedprox": FedProx,
    "fedproto": FedProto,
    "fedmchain": FedMChain,
    "local": Local,
    "anchors-only": AnchorsOnly,
    "self-training": SelfTraining,
    "centralised": Centralised,
}


def method_of(config: RunConfig) -> Method:
    """The node side of the method that a run names (its name was checked with the run config)."""
    return METHODS[config.method](config)
