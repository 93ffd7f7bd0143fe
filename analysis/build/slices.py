"""The tables of the protocol that each step may see; any other is withheld from it (``Protocol.only``)."""

DATA_RULES = ("study", "models", "outcomes", "quality", "population", "its")
RESULTS_RULES = (
    *DATA_RULES,
    "pooled",
    "programme_years",
    "growth",
    "specifications",
    "specification_curve",
    "inference",
)
