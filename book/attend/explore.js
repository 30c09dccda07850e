// Makes the figures of attend.explore move. Each kind is the twin of the function of that name in explore.py.
customElements.get("attend-explore") ||
  customElements.define(
    "attend-explore",
    (() => {
      const largest = (weights) => Math.max(...weights).toFixed(2);
      const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

      function softmax(scores) {
        const top = Math.max(...scores);
        const exponentials = scores.map((score) => Math.exp(score - top));
        return exponentials.map((exponential) => exponential / sum(exponentials));
      }

      // From what is given and what is chosen: the weights, how a slider's value reads, and a sentence.
      const kinds = {
        scale({ scores }, { exponent, scaled }) {
          const width = 2 ** exponent;
          const weights = softmax(scores[exponent].map((score) => score / (scaled ? Math.sqrt(width) : 1)));
          const squares = weights.flatMap((a, i) => weights.map((b, j) => ((i === j ? a : 0) - a * b) ** 2));
          return {
            weights,
            texts: { exponent: `${width}` },
            summary:
              `Width ${width}, ${scaled ? "scaled" : "not scaled"}: the largest weight is ${largest(weights)}, ` +
              `the norm of the softmax's Jacobian ${Math.sqrt(sum(squares)).toFixed(2)}.`,
          };
        },

        temperature({ scores }, { exponent }) {
          const T = 10 ** exponent;
          const weights = softmax(scores.map((score) => score / T));
          const entropy = -sum(weights.map((a) => (a ? a * Math.log(a) : 0)));
          return {
            weights,
            texts: { exponent: T.toFixed(2) },
            summary:
              `Temperature ${T.toFixed(2)}: the largest weight is ${largest(weights)}, and attention spreads as ` +
              `over ${Math.exp(entropy).toFixed(2)} equal keys.`,
          };
        },

        mask({ scores }, { length, ...ticks }) {
          const masked = scores.map((_, j) => j >= length || ticks[`mask${j}`]);
          const count = masked.filter(Boolean).length;
          const all = count === scores.length;
          const weights = all
            ? scores.map(() => 0)
            : softmax(scores.map((score, j) => (masked[j] ? -Infinity : score)));
          return {
            weights,
            masked,
            texts: { length: `${length} ${length === 1 ? "key" : "keys"}` },
            summary: all
              ? "Every key is masked: there is nothing to share, and a softmax would divide 0 by 0."
              : `${count} of ${scores.length} keys ${count === 1 ? "is" : "are"} masked; the others share all ` +
                `attention, the largest weight is ${largest(weights)}.`,
          };
        },

        location({ positions }, { centre, width }) {
          const places = Array.from({ length: positions }, (_, j) => j + 1);
          const weights = softmax(places.map((j) => (centre * j - j ** 2 / 2) / width ** 2));
          return {
            weights,
            texts: { centre: centre.toFixed(1), width: width.toFixed(1) },
            summary:
              `Centre ${centre.toFixed(1)}, width ${width.toFixed(1)}: the largest weight is ` +
              `${largest(weights)}, the mean position ${sum(weights.map((a, j) => a * (j + 1))).toFixed(2)}.`,
          };
        },
      };

      return class extends HTMLElement {
        connectedCallback() {
          // While the page is still being read the controls may not be there yet.
          if (document.readyState === "loading")
            document.addEventListener("DOMContentLoaded", () => this.enhance(), { once: true });
          else this.enhance();
        }

        enhance() {
          if (this.controls) return;
          this.controls = [...this.querySelectorAll("input")];
          this.spoken = document.createElement("p");
          this.spoken.className = "unseen";
          this.spoken.setAttribute("aria-live", "polite");
          this.append(this.spoken);
          // JupyterLab would take arrow keys for commands of its own.
          this.addEventListener("focusin", (event) => (event.target.dataset.lmSuppressShortcuts = "true"));
          // A slider says its own value; its output is for the eye and must not say it again.
          for (const output of this.querySelectorAll("output")) output.setAttribute("aria-live", "off");
          this.addEventListener("input", () => {
            this.draw();
            clearTimeout(this.pause); // said once, when the slider rests
            this.pause = setTimeout(() => (this.spoken.textContent = this.summary.textContent), 700);
          });
          this.summary = this.querySelector(".says");
          this.draw();
        }

        draw() {
          const chosen = Object.fromEntries(
            this.controls.map((control) => [
              control.name,
              control.type === "range" ? control.valueAsNumber : control.checked,
            ]),
          );
          const state = kinds[this.dataset.kind](JSON.parse(this.dataset.given), chosen);
          this.weights = state.weights; // at full precision, for whoever asks
          this.summary.textContent = state.summary;
          [...this.querySelector("tbody").rows[0].cells].forEach((cell, j) => {
            const masked = Boolean(state.masked?.[j]);
            cell.classList.toggle("masked", masked);
            cell.style.setProperty("--w", state.weights[j].toFixed(4));
            if (!masked) cell.textContent = state.weights[j].toFixed(2);
            else if (!cell.firstElementChild) cell.innerHTML = "<span>masked</span>";
          });
          for (const [name, text] of Object.entries(state.texts)) {
            const slider = this.controls.find((control) => control.name === name);
            slider.setAttribute("aria-valuetext", text);
            slider.nextElementSibling.textContent = text;
          }
        }
      };
    })(),
  );
