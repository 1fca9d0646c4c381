"""Self-supervised methods, a room each; they know nothing of nnU-Net and of one another."""
