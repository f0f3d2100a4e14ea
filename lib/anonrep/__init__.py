"""Anonymised image representations by mutual information (Feutry, Piantanida and Duhamel, ICASSP 2020)."""
