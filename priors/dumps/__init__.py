"""The HDF5 files of datasets: their schema, and what reads, writes, checks, rearranges and converts them."""
