"""Label-efficiency experiments: the grid of trainings, and their comparison."""
