"""Standard errors, randomisation, bootstraps, placebo sites, meta-analysis, multiple tests and power."""
