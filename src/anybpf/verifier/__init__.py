"""The verifier: whether a program is safe to run, and if not why."""
