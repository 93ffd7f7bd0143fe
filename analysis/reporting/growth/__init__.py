"""Growth per head, cohort by cohort, beside the published figures."""
