"""Figures, tables, words, pages and the explorer."""
