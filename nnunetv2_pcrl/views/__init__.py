"""Views: from a preprocessed case to the augmented crops that the network sees."""
