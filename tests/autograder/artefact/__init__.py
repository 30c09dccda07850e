"""Questions about a file that is handed in beside the notebook, and cells that the grader does not run."""
