"""Planning: pretraining settings derived from the nnU-Net plan; images without labels."""
