"""What is measured: `make bench`, or `make bench ONLY=<name>`. See docs/benchmarks.md."""
