"""PCRLv1: contrast with a queue, and restoration from mixed features under a transform code."""
