"""Which options of `nanotabpfn train` do what; without the modules that train, for its help."""

FREE_WHEN_RESUMED = (
    "--steps",
    "--workers",
    "--device",
    "--checkpoint-every",
    "--keep",
    "--log",
    "--stop-if-not-begun",
    "--patience",
    "--dump",
)
"""Options that may change when a run is resumed: they leave the steps trained so far as they are. Of a dump
only its place may change, not its content."""

SIZES = {
    "embedding_size": "embedding_size",
    "heads": "num_attention_heads",
    "hidden": "mlp_hidden_size",
    "layers": "num_layers",
}
"""Option -> argument of the model."""
