"""Benchmarks beside other servers. `python -m bench.relay` is the relay's; RESULTS.md holds what was measured."""
