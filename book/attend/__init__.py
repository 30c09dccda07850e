"""The library that the pages of the book build, one module for each chapter."""
