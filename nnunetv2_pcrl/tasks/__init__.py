"""What pretrained weights are used for."""
