"""Where student code runs: `session` is the trusted side, `inside/` is all that enters the student's process."""
