"""The mathematics of Concord: pure, typed tensor functions that know neither Flower nor files."""
