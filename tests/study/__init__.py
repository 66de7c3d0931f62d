"""Grids of runs and circuits: their cells, table and frontier."""
