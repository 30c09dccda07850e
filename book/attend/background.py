"""Extracted from book/01-background.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import numpy as np
