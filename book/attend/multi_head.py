"""Extracted from book/05-multi-head.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import numpy as np
