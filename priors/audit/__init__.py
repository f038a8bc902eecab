"""What a dump or a prior has to teach: how learnable its datasets are, and their tables in numbers."""
