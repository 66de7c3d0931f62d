"""Definitions of the twenty tasks, one file for each family."""
