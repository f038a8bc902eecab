"""The architecture, its numeric precision, the bins of real targets, and checkpoints."""
