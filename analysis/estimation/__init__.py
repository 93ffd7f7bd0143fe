"""The panel to the table of estimates, one folder for each design."""
