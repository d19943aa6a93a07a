"""What every party of a federation agrees on: configuration, tensor functions, anchors and the wire."""
