"""How good a model is, on real tables and on held-out datasets."""
