"""How sure an estimate is: inference methods side by side, simulated error rates, detectable effects."""
