"""The command `priors`."""
