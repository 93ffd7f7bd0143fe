"""Effects of single sites, gauged from placebo sites, and their pooling."""
