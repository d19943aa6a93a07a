"""Agents without a server: what they say to each other over gRPC, each proving itself by a certificate of the federation."""
