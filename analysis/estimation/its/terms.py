"""Names of the interrupted time series in the table of estimates: kinds of series, terms, methods. No model is imported for them."""

from __future__ import annotations

# Kinds of series, the table's designs.
SINGLE, CONTROLLED, AGAINST_SYNTHETIC = "its", "cits", "cits_synthetic"
PLACEBO_START, WITHOUT_SITE = "cits_placebo_start", "cits_leave_one_out"

# Terms; effect_12 and so on are the protocol's.
LEVEL, SLOPE, MEAN, TREND, STEP, CUMULATIVE = "level", "slope", "effect_mean", "trend_before", "step", "cumulative"

# Methods.
OLS, HAC, PRAIS_WINSTEN, ARIMA_ML = "OLS", "HAC", "prais_winsten", "ARIMA"
SATTERTHWAITE, KENWARD_ROGER = "REML_satterthwaite", "REML_kenward_roger"
QUASI_POISSON, NEGATIVE_BINOMIAL = "quasi_poisson", "negative_binomial"
PSEUDO_COHORTS = "pseudo_cohorts"
MODEL_BASED = (OLS, HAC, PRAIS_WINSTEN, SATTERTHWAITE, KENWARD_ROGER, ARIMA_ML, QUASI_POISSON, NEGATIVE_BINOMIAL)

# Which inference is printed where one is: places compared with others are judged beside pseudo-cohorts, a single series is not.
JUDGED_BY = {CONTROLLED: PSEUDO_COHORTS, AGAINST_SYNTHETIC: PSEUDO_COHORTS, SINGLE: KENWARD_ROGER}

# Scenarios of the simulated error rates.
AUTOREGRESSIVE, REAL_PLACES = "autoregressive", "real_places"
