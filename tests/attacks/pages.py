"""What of a page is alive: all that would run, load or send something when it is opened."""

from html.parser import HTMLParser

ALIVE = frozenset(
    (
        "script",
        "iframe",
        "frame",
        "object",
        "embed",
        "applet",
        "base",
        "form",
        "input",
        "button",
        "video",
        "audio",
    )
)
LOADS = ("src", "srcset", "data", "poster", "background", "action", "formaction", "ping")
LINKS = ("href", "xlink:href")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: "".join((value or "").split()).lower() for name, value in attrs}
        if tag in ALIVE:
            self.found.append(f"<{tag}>")
        if tag == "meta" and values.get("http-equiv") == "refresh":
            self.found.append("<meta refresh>")
        if tag == "link" and values.get("href", "").startswith(("http", "//")):
            self.found.append("<link> to elsewhere")
        for name, value in values.items():
            script = name in (*LOADS, *LINKS) and value.startswith(
                ("javascript:", "vbscript:", "data:text")
            )
            remote = name in LOADS and value.startswith(("http", "//"))
            if name.startswith("on") or name == "srcdoc" or script or remote:
                self.found.append(f'<{tag} {name}="{value[:60]}">')

    handle_startendtag = handle_starttag


def alive(html: str) -> list[str]:
    """The live parts of a page, each once."""
    reader = _Reader()
    reader.feed(html)
    return sorted(set(reader.found))
