"""Extracted from book/03-softmax.md, edit there.

Written anew by `python -m book.extract_library`.
"""

import numpy as np
