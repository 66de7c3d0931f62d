"""The twenty tasks, one file for each family."""
