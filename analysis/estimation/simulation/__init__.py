"""Error rates of the inference methods in simulated panels."""
