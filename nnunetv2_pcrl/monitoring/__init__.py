"""What a person sees of a training. Nothing here changes it: a failure is logged and forgotten."""
