"""Checks of the main estimate: placebo starts and places, one site left out, group-time effects."""
