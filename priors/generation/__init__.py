"""Many datasets, in order, on any workers or machines."""
