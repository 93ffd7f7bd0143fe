"""What moved since the last edition."""
