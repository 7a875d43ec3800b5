"""What grows with the size of a study, measured. Benchmarks report; they never fail on a time."""
