"""Repairs of the stock theme: no broken script."""

from typing import Any

from sphinx.application import Sphinx


def drop_thebe(files: list[Any]) -> list[Any]:
    """Leave out sphinx-thebe's scripts and style.

    The scripts declare one JavaScript constant twice, an error on every page, and serve a live kernel
    that this book does not offer.
    """

    def belongs_to_thebe(file: Any) -> bool:
        body = getattr(file, "attributes", {}).get("body") or ""
        return "thebe" in f"{getattr(file, 'filename', file)} {body}".lower()

    return [file for file in files if not belongs_to_thebe(file)]


def fix_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Repair what the theme is about to render."""
    for files in ("script_files", "css_files"):
        context[files] = drop_thebe(context.get(files, []))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the repairs with Sphinx."""
    app.connect("html-page-context", fix_page, priority=999)  # after the theme's own handlers
    return {"parallel_read_safe": True, "parallel_write_safe": True}
