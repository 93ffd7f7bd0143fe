"""The study, its edition and its documents: background, provenance, contents, reporting guidelines."""
