"""Run notebook cells in an IPython shell and keep what they show, bounded in bytes."""

import base64
import io
import subprocess
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

SHOWN_TYPES = (
    "text/plain",
    "text/html",
    "text/latex",
    "text/markdown",
    "image/png",
    "image/svg+xml",
)


class Outputs:
    """The outputs of the cell that is running, in the form of nbformat."""

    most = 200_000  # bytes of one cell; a figure is about 30 kB

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.bytes = 0

    def add(self, output: dict[str, Any], size: int) -> None:
        if self.bytes > self.most:
            return
        self.bytes += size + 100  # many small ones count too
        if self.bytes > self.most:
            text = f"\n[output stopped after {self.most // 1000} kB]\n"
            self.items.append({"output_type": "stream", "name": "stdout", "text": text})
        else:
            self.items.append(output)

    def add_stream(self, name: str, text: str) -> None:
        last = self.items[-1] if self.items else {}
        if last.get("name") == name and self.bytes + len(text) <= self.most:
            last["text"] += text
            self.bytes += len(text)
        elif text:
            self.add({"output_type": "stream", "name": name, "text": text}, len(text))

    def add_display(self, kind: str, data: dict[str, Any]) -> None:
        shown = {mime: _text(content) for mime, content in data.items() if mime in SHOWN_TYPES}
        output = {"output_type": kind, "data": shown, "metadata": {}}
        if kind == "execute_result":
            output["execution_count"] = None
        self.add(output, sum(map(len, shown.values())))


def _text(content: Any) -> str:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else str(content)


class Stream(io.TextIOBase):
    """A standard stream that writes into the outputs."""

    def __init__(self, name: str, outputs: Outputs) -> None:
        self.name, self.outputs = name, outputs

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.outputs.add_stream(self.name, text)
        return len(text)


class Shell(InteractiveShell):
    """IPython without a terminal, a history or a screen: what is displayed goes into `outputs`."""

    def __init__(self, outputs: Outputs) -> None:
        class Publisher(DisplayPublisher):
            def publish(self, data: dict[str, Any], metadata: Any = None, **_: Any) -> None:
                outputs.add_display("display_data", data)

        class Hook(DisplayHook):
            def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
                outputs.add_display("execute_result", format_dict)

            def write_output_prompt(self) -> None:
                pass

            def finish_displayhook(self) -> None:
                pass

            def quiet(self) -> bool:
                """A last value is not shown after a semicolon; IPython looks for it in its history."""
                return self.shell.source.rstrip().endswith(";")

        self.outputs = outputs
        # A history is kept by a thread of its own, and a fork is safe only where there is none.
        without = Config({"HistoryManager": {"enabled": False}})
        super().__init__(config=without, display_pub_class=Publisher, displayhook_class=Hook)
        self.source = ""  # of the cell that runs
        # Python's own form: what beginners look up, and fifty times quicker than IPython's.
        self.InteractiveTB.set_mode(mode="Plain")
        # Figures are shown as a notebook shows them: PNG on `plt.show()` and at the end of a cell.
        from matplotlib_inline.backend_inline import flush_figures, select_figure_formats

        select_figure_formats(self, {"png"})
        self.events.register("post_execute", flush_figures)

    def system(self, cmd: str) -> None:
        """`!command`: what it prints is shown; IPython's own way wants a terminal."""
        command = self.var_expand(cmd, depth=1)
        done = subprocess.run(
            command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        print(done.stdout.decode(errors="replace"), end="")
        self.user_ns["_exit_code"] = done.returncode

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept `%matplotlib inline`: there is no event loop to start."""

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        output = {
            "output_type": "error",
            "ename": etype.__name__,
            "evalue": str(evalue)[:2000],
            "traceback": [str(line)[:4000] for line in stb][-60:],
        }
        self.outputs.bytes = 0  # an error is told even after a flood of output
        self.outputs.add(output, sum(map(len, output["traceback"])))

    def run(self, source: str, keep: bool) -> dict[str, Any]:
        """Run one cell; reply with its outputs and whether it ended without an error.

        Unless `keep`, the names it bound are as they were before: a check may not overwrite a helper.
        """
        self.outputs.start()
        self.source = source
        before = dict(self.user_ns)
        result = self.run_cell(source, store_history=False)
        if not keep:
            self.user_ns.clear()
            self.user_ns.update(before)
        return {"outputs": self.outputs.items, "success": bool(result.success)}
