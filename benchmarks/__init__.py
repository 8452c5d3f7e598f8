"""Benchmarks: the performance budget of the design, measured on this machine with the real engines."""
