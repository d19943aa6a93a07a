"""Pretrained encoders by name or path: as frozen tokenisers of samples, and as the trunk that all modalities share."""
