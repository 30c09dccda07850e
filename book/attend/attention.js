// Makes the tables of attend.plots.show_attention answer to pointer and keyboard. A custom element, so that
// any number of figures, put on a page at any time, find their script and never meet each other.
customElements.get("attend-attention") ||
  customElements.define(
    "attend-attention",
    class extends HTMLElement {
      connectedCallback() {
        // While the page is still being read the tables may not be there yet.
        if (document.readyState === "loading")
          document.addEventListener("DOMContentLoaded", () => this.enhance(), { once: true });
        else this.enhance();
      }

      enhance() {
        if (this.says) return;
        this.heads = [...this.querySelectorAll(".scroll")];
        this.says = document.createElement("p");
        this.says.className = "says";
        this.says.setAttribute("aria-live", "polite");
        this.says.textContent = "Point at a row, or go into the table with Tab and on with the arrow keys.";
        this.append(this.says);
        if (this.heads.length > 1) this.prepend(this.choice());
        // JupyterLab would take arrow keys for commands of its own.
        this.addEventListener("focusin", (event) => (event.target.dataset.lmSuppressShortcuts = "true"));
        for (const head of this.heads) {
          const table = head.querySelector("table");
          table.setAttribute("role", "grid");
          table.tBodies[0].rows[0].cells[0].tabIndex = 0;
          table.addEventListener("pointerover", (event) => this.look(event.target.closest("tbody th, tbody td"), true));
          table.addEventListener("pointerleave", () => this.look(null));
          table.addEventListener("focusin", (event) => this.look(event.target));
          table.addEventListener("focusout", (event) => table.contains(event.relatedTarget) || this.look(null));
          table.addEventListener("keydown", (event) => this.move(event));
        }
        this.show(0);
      }

      // Radio buttons, one for each head: arrow keys come with them.
      choice() {
        const set = document.createElement("fieldset");
        const name = `attend-head-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
        set.append(Object.assign(document.createElement("legend"), { textContent: "Show" }));
        this.heads.forEach((head, index) => {
          const label = document.createElement("label");
          const button = Object.assign(document.createElement("input"), { type: "radio", name, checked: !index });
          button.addEventListener("change", () => this.show(index));
          label.append(button, head.dataset.head);
          set.append(label);
        });
        return set;
      }

      show(index) {
        this.heads.forEach((head, other) => (head.hidden = other !== index));
        // What the last row looked at does in this head: so that heads can be compared.
        if (this.row !== undefined) {
          const row = this.heads[index].querySelector("table").tBodies[0].rows[this.row];
          this.says.textContent = `${this.heads[index].dataset.head}: ${row.dataset.says}`;
        }
      }

      // Light the row of a cell and say what it holds; a pointer, which sees no focus, gets both sentences.
      look(cell, pointed = false) {
        const row = cell?.parentElement;
        if (this.lit !== row) {
          this.lit?.classList.remove("lit");
          row?.classList.add("lit");
          (this.lit ?? row)?.closest("table").classList.toggle("looking", Boolean(row));
          this.lit = row;
        }
        if (!cell) return;
        this.row = row.sectionRowIndex;
        const weight = cell.matches("td") && this.weight(cell);
        this.says.textContent = !weight ? row.dataset.says : pointed ? `${row.dataset.says}; ${weight}` : weight;
      }

      weight(cell) {
        const name = (header) => header.dataset.name ?? `“${header.textContent}”`;
        const [query] = cell.parentElement.cells;
        const key = cell.closest("table").tHead.rows[0].cells[cell.cellIndex];
        return cell.matches(".masked")
          ? `${name(query)} may not look at ${name(key)}: masked`
          : `${name(query)} looks at ${name(key)} with ${cell.textContent}`;
      }

      move(event) {
        const cell = event.target;
        const rows = cell.closest("tbody").rows;
        let row = cell.parentElement.sectionRowIndex;
        let column = cell.cellIndex;
        if (event.key === "ArrowRight") column += 1;
        else if (event.key === "ArrowLeft") column -= 1;
        else if (event.key === "ArrowDown") row += 1;
        else if (event.key === "ArrowUp") row -= 1;
        else if (event.key === "Home") column = 0;
        else if (event.key === "End") column = rows[row].cells.length - 1;
        else return;
        event.preventDefault();
        const next = rows[row]?.cells[column];
        if (!next) return;
        cell.tabIndex = -1; // one stop for Tab in each table
        next.tabIndex = 0;
        next.focus();
      }
    },
  );
