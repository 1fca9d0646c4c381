"""The planned encoder with a linear layer: what all tasks share that tell classes apart."""
