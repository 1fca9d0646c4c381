"""Preprocessed data from images without labels: fingerprint, plans, cases."""
