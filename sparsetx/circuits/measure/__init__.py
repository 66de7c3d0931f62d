"""The losses and the sizes of masks."""
