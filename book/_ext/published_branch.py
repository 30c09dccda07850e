"""Names that the pages' buttons and `book/publish.py` share."""

BRANCH = "gh-pages"
# Always version 0: the address stays, so that a notebook saved a year ago still finds the package.
WHEEL = "attend-0-py3-none-any.whl"
