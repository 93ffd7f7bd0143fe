"""What each step was made from, when it runs again, and why."""
