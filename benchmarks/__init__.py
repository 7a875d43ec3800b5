"""Benchmarks of speed, memory, scaling and agreement. They report timings and never fail on one."""
