"""What a dump has to teach: how learnable its datasets are, and what they look like in numbers."""
