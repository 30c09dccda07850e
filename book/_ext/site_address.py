"""Where the site is published, derived from the repository's address in ``_config.yml``.

Canonical links, the sitemap, social cards and the links of the 404 page all need it; a school that
publishes elsewhere writes its own ``html: baseurl:`` there.
"""

from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config


def published_at(repository: str) -> str:
    """GitHub Pages' address of a repository: ``https://github.com/Owner/name`` gives
    ``https://owner.github.io/name/``."""
    owner, name = urlsplit(repository).path.strip("/").split("/")[:2]
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def derive(app: Sphinx, config: Config) -> None:
    """Give the address to every extension that asks for it under a name of its own.

    The 404 page is served at any depth, so that its links must start at the site's root.
    """
    if not config.html_baseurl:
        config.html_baseurl = published_at(config.html_theme_options["repository_url"])
    config.ogp_site_url = config.html_baseurl
    config.notfound_urls_prefix = root = urlsplit(config.html_baseurl).path
    config.notfound_context = {
        "title": "Page not found",
        "body": "<h1>Page not found</h1><p>There is no page at this address. "
        f'<a href="{root}{config.root_doc}.html">The first page</a> has a map of the course, and '
        f'<a href="{root}search.html">the search</a> knows every page.</p>',
    }


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the derivation with Sphinx."""
    app.connect("config-inited", derive, priority=100)  # before whoever reads it
    return {"parallel_read_safe": True, "parallel_write_safe": True}
