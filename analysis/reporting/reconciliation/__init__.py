"""Our figures beside those of other publications."""
