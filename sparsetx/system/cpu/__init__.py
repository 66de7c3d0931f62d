"""A process on a CPU: its memory, its vector registers, and others beside it."""
