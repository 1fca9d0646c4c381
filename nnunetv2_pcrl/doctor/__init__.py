"""What an installation has, and what would stop a training: for a person and for bug reports."""
