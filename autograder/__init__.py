"""The grader: a plug-in of nbgrader and a command line over it. Start reading at README.md."""
