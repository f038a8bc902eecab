"""Batches of datasets for training."""
