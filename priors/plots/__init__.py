"""Figures of priors and dumps."""
