"""How good a mask is, and how large."""
