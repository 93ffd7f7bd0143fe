"""The stages of a run, where everything is read and written. The last, reports, is ``publish/build.py``."""
