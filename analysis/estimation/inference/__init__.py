"""Standard errors, randomisation, bootstraps, placebo sites and power."""
