"""How good are the models? Measured on public benchmarks and on stored history."""
