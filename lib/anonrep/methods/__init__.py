"""Releases beside the game: the finite release, codebooks, perturbations."""
