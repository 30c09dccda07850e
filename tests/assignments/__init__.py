"""What holds for every assignment, and what is particular to each; all of it without a sandbox."""
