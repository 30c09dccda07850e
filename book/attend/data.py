"""Text that every machine with Python holds already. Written by hand; no page teaches it."""

import re
from pydoc_data.topics import topics

__all__ = ["documentation"]


def documentation() -> str:
    """Python's own language reference as plain text, about 0.5 million characters of English.

    It is what `help("for")` prints, so it needs no download; its length differs a little between
    versions of Python. Topics quote each other: whoever splits the text must drop repeated paragraphs
    first. Underlines of headings are removed, and topics are separated by a blank line.
    """
    text = "\n\n".join(topics[name].strip() for name in sorted(topics))
    return re.sub(r"^([*=\-^~\"])\1{3,}\n", "", text, flags=re.MULTILINE)
