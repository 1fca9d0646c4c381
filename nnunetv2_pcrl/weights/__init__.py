"""Weights: the portable file and how it maps onto a planned network."""
