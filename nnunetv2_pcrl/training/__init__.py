"""Training: the trainers, and the only code that knows nnU-Net's hooks."""
