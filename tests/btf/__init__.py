"""Type information."""
