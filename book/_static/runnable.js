// Cells tagged `runnable` can be changed and run in the page (PyScript and Pyodide, served by this site).
// Nothing is loaded before the button is pressed; a cell keeps its printed output until it is run here.
(() => {
  const { packages, size } = document.currentScript.dataset;
  const vendor = new URL("../vendor/", document.currentScript.src);
  if (location.protocol === "file:") return; // browsers load no modules from files

  const editorStyle = `
    .cm-editor { background: #fff; }
    .cm-editor.cm-focused { outline: none !important; } /* the frame around it shows the focus */
    .cm-scroller { font: 0.8rem/1.4 ui-monospace, monospace; }
    .cm-gutters { background: #f5f5f5; color: #595959; }`;

  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  function prepare(cell, number, cells) {
    const input = cell.querySelector(".cell_input");
    const script = make("script", { type: "py-editor", textContent: input.querySelector("pre").textContent });
    script.setAttribute("env", "page"); // all cells of a page share their names
    script.dataset.run = "Run";
    script.dataset.stop = "Stop";
    if (number === 1) {
      script.setAttribute(
        "config",
        JSON.stringify({
          interpreter: new URL("pyodide/pyodide.mjs", vendor).href,
          packages: packages.split(" ").filter(Boolean),
          packages_cache: "passthrough", // the wheels beside the interpreter, not an index elsewhere
        }),
      );
    }
    script.addEventListener("py-editor", () => describe(script.target, number, cells));
    input.after(script);
    input.hidden = true;
  }

  // What py-editor leaves out: names for a screen reader, colours, and a way out by keyboard.
  function describe(editor, number, cells) {
    const box = editor.querySelector(".py-editor-input");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `Cell ${number} of ${cells.length}`);
    const code = box.querySelector(":scope > div").shadowRoot;
    code.append(make("style", { textContent: editorStyle }));
    code.querySelector(".cm-content").setAttribute("aria-label", `Code of cell ${number}; Escape, then Tab leaves it`);
    code.querySelector(".cm-scroller").tabIndex = -1; // the code itself takes the focus

    const run = box.querySelector("button");
    run.type = "button";
    run.setAttribute("aria-label", `Run cell ${number}`);
    box.append(run); // after the code, as it is read

    const output = editor.querySelector(".py-editor-output");
    output.setAttribute("role", "status");
    output.setAttribute("aria-label", `Output of cell ${number}`);
    run.addEventListener("click", () => {
      for (const printed of cells[number - 1].querySelectorAll(".cell_output")) printed.hidden = true;
    });
    if (number === cells.length) box.closest(".runnable-page").dispatchEvent(new Event("ready"));
  }

  addEventListener("DOMContentLoaded", () => {
    const cells = [...document.querySelectorAll(".cell.tag_runnable")];
    const page = cells[0].closest("article") ?? document.body;
    const panel = make("div", { className: "runnable-offer d-print-none" });
    const button = make("button", { type: "button", textContent: "Run the code in this page" });
    const note = make("span", { textContent: `Loads Python into your browser, about ${size}; no account, no server.` });
    note.setAttribute("role", "status");
    panel.append(button, " ", note);
    cells[0].before(panel);

    button.addEventListener("click", () => {
      button.disabled = true;
      note.textContent = "Loading the editors …";
      page.classList.add("runnable-page");
      page.addEventListener(
        "ready",
        () => {
          note.textContent =
            "The code below can be changed. “Run” or Shift+Enter runs a cell; run them from top to bottom. The first takes some seconds, while Python starts.";
          button.remove();
          // Every editor takes the focus as it is made: give it to the first cell, where reading goes on.
          page.querySelector(".py-editor-run-button").focus();
        },
        { once: true },
      );
      cells.forEach((cell, index) => prepare(cell, index + 1, cells));
      document.head.append(
        make("link", { rel: "stylesheet", href: new URL("pyscript/core.css", vendor).href }),
        make("script", { type: "module", src: new URL("pyscript/core.js", vendor).href }),
      );
    });
  });
})();
