"""Tasks: the twenty behaviours that circuits are searched for, and the user's own.

`table.py` lists them, `families/` defines them, `pairs.py` turns them into tokens.
"""
