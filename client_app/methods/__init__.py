"""Local objectives, one file a method; `METHODS` is the registry."""

from client_app.methods.method import Agreed, Method
from client_app.methods.registry import METHODS, method_of

__all__ = ["METHODS", "Agreed", "Method", "method_of"]
