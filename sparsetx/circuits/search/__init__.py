"""Searching for masks: pools, lanes, the search, the judge, and the batch job."""
