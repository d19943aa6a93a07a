"""A user's own data: a folder of files, told by ``dataset.toml`` or found by convention, becomes the data of a node."""
