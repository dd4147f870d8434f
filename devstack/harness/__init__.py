"""For programs that start a stack of their own, tests and benchmarks: what they ask of it, and how they wait."""
