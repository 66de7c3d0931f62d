"""Circuits: masks of nodes that still do a task, and all that is asked of them."""
