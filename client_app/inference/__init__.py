"""Using what was trained: reading a model folder, and embeddings, classes and neighbours of new samples."""
