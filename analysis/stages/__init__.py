"""The stages of a run, where everything is read and written, and what this machine has for them. The last, reports, is ``publish/build.py``."""
