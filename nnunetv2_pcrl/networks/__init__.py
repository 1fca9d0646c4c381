"""Networks: the non-skip variant of a planned U-Net and the heads on its feature pyramid."""
