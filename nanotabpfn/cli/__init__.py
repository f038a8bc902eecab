"""The command `nanotabpfn`."""
