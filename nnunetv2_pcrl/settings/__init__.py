"""What the plans file says to the package: sections, and settings that are checked."""
