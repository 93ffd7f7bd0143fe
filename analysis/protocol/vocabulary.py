"""Words and numbers that the protocol and the layers above it share, with their sources."""

from __future__ import annotations

# Admission methods of an emergency (NHS Data Dictionary, ADMISSION METHOD CODE (HOSPITAL PROVIDER SPELL)): accident and emergency
# department, general practitioner, bed bureau, outpatient clinic, mental health crisis team, other means (28 before 2012,
# 2A to 2D since). 2B, the transfer of a patient who was admitted elsewhere in an emergency, is one of them.
EMERGENCY_METHODS = ("21", "22", "23", "24", "25", "28", "2A", "2B", "2C", "2D")

# The least count of 1 or more that the standard shows, and what it rounds to (`analysis/records/README.md`); a protocol may ask for more, not for less.
SMALLEST, BASE = 8, 5
