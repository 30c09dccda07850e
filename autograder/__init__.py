"""The grader: a plug-in of nbgrader and a command line over it. Start reading at README.md."""

import sys

# jsonschema loads a grammar of internet addresses if it finds one: a second of every process's start, to check
# what no notebook holds. Without the module it passes that check over.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
