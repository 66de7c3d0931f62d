"""Circuits: finding, measuring, checking, explaining and reporting them."""
