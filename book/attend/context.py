"""Extracted from book/04-context.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import numpy as np
