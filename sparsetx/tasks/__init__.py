"""The behaviours that circuits are cut for: twenty tasks, and the user's own.

`table.py` lists them, one file per family defines them; `pairs.py` is what they become.
"""
