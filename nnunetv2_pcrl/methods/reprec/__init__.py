"""RepRec-style: contrast of images, then recovery of masked representations."""
