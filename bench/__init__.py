"""Measurements beside named peers; results in RESULTS.md."""
