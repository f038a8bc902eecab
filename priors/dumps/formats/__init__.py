"""Dumps in other formats, and back: each format is a module, `convert` knows them by the endings of files."""
