"""Synthetic data that stands in where the real data is missing; every result names it as such."""
