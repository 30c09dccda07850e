"""The hidden checks, one module per assignment. Never published with the exercises."""
