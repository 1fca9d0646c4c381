"""Classification: which classes an image is of, told by the planned encoder."""
