"""Segmentation: nnU-Net's own training, started from pretrained weights."""
