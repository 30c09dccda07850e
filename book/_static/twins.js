// A switch above each pair of NumPy and PyTorch cells: read both or only one. All switches move together and
// the choice is remembered. Without this script both are shown.

{
  const VIEWS = { both: "Both", numpy: "NumPy", torch: "PyTorch" };
  const REMEMBERED = "twins";

  const remembered = () => {
    try {
      return localStorage.getItem(REMEMBERED);
    } catch {
      return null; // storage may be forbidden
    }
  };

  const show = (view) => {
    document.documentElement.dataset.twins = view;
    for (const input of document.querySelectorAll(".twins-switch input")) input.checked = input.value === view;
  };

  const choose = (view, pair) => {
    const before = pair.getBoundingClientRect().top;
    show(view);
    scrollBy({ top: pair.getBoundingClientRect().top - before, behavior: "instant" }); // the reader stays where he is
    try {
      localStorage.setItem(REMEMBERED, view);
    } catch {
      // not remembered, then
    }
  };

  document.querySelectorAll(".twins").forEach((pair, number) => {
    const group = document.createElement("fieldset");
    group.className = "twins-switch";
    group.innerHTML = `<legend class="visually-hidden">Show the code in</legend>`;
    for (const [view, name] of Object.entries(VIEWS)) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {
        type: "radio",
        name: `twins-${number}`,
        value: view,
        autocomplete: "off",
      });
      label.append(input, name);
      group.append(label);
    }
    group.addEventListener("change", ({ target }) => choose(target.value, pair));
    pair.prepend(group);
  });

  // On a wide screen pairs reach into the margin. The theme puts its right side bar away while an element of the
  // class full-width is in view, but looks for that class only once, when the page is loaded.
  const SIDE_BY_SIDE = 1060; // twins.css: 64rem of halves, and a margin
  const pairs = [...document.querySelectorAll(".twins")];
  const room = () => {
    const left = pairs[0].parentElement.getBoundingClientRect().left;
    return Math.min(document.documentElement.clientWidth - left - 32, 1400); // no line is longer than 1400 hold
  };
  const stretch = () => {
    for (const pair of pairs) pair.style.setProperty("--twins-width", room() >= SIDE_BY_SIDE ? `${room()}px` : "100%");
  };
  if (pairs.length && room() >= SIDE_BY_SIDE) {
    for (const pair of pairs) pair.classList.add("full-width");
    stretch();
    new ResizeObserver(stretch).observe(document.documentElement); // after the layout, not before it as resize
  }

  show(Object.hasOwn(VIEWS, remembered()) ? remembered() : "both");
  addEventListener("storage", ({ key, newValue }) => {
    if (key === REMEMBERED && Object.hasOwn(VIEWS, newValue)) show(newValue);
  });
}
