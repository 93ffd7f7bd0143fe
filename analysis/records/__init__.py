"""Patient-level extracts → counts by commissioner and month: one definition in Ibis, on DuckDB or on Spark."""
