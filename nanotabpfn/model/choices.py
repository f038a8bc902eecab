"""Names of devices and number formats, for the options of commands, whose help loads no torch."""

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("float32", "bfloat16", "auto")
