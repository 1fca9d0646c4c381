"""What can be made of uncertain and blank values in a table of classes."""

# Of -1 (uncertain), as in Irvin et al. 2019 (CheXpert).
POLICIES = ("ignore", "zeros", "ones", "mixed")
# Findings that are present where they are uncertain, in the mixed policy; all others are absent.
MIXED_ONES = frozenset({"Atelectasis", "Edema"})
BLANKS = ("unknown", "zeros")
