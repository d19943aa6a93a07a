"""The server's rules: Flower strategies put together from parts, one file a method; `METHODS` is the registry."""
