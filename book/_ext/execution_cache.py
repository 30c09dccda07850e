"""A cache of executed pages that notices when the library changes.

Jupyter Book executes a page again only when one of its own cells has changed. A page also imports
``attend``, so the cache is kept in a folder named after the library's contents.
"""

from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def library_digest(source: Path) -> str:
    """A short name for the present contents of ``book/attend``: modules, and what was measured."""
    package = source / "book" / "attend"
    files = sorted([*package.glob("*.py"), *package.glob("measured/*.csv")])
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def key_on_library(app: Sphinx, config: Config) -> None:
    """Give MyST-NB the cache folder that belongs to the present library."""
    caches = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(caches / library_digest(Path(app.srcdir)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the choice of the cache with Sphinx."""
    app.connect("config-inited", key_on_library)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
