"""How far an estimate depends on choices: specifications and their curve."""
