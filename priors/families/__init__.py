"""Families of graphs, mechanisms, noise, categories and classes: pure functions of an explicit generator."""
