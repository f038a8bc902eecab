"""One dataset: from a config and a generator to a structural causal model and its table."""
