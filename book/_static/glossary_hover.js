// A term's definition, when its link is pointed at or has the focus; Escape puts it away, and the pointer may
// move onto it. The definitions stand hidden on the page; without this script a term is a link to the glossary.

{
  let term = null; // the link, and its definition, while it is shown
  let definition = null;
  let leaving = 0;

  const hide = () => {
    clearTimeout(leaving);
    if (definition) definition.hidden = true;
    term = definition = null;
  };

  const hideSoon = () => {
    clearTimeout(leaving);
    leaving = setTimeout(hide, 200); // time to move from the term to its definition
  };

  const place = () => {
    if (!definition) return;
    const at = term.getClientRects()[0]; // of a broken line the first piece
    const { width, height } = definition.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
    const below = at.bottom + 6;
    const top = below + height > innerHeight && at.top - height - 6 > 0 ? at.top - height - 6 : below;
    Object.assign(definition.style, { left: `${left}px`, top: `${top}px` });
  };

  const show = (link, text) => {
    clearTimeout(leaving);
    if (definition !== text) hide();
    [term, definition] = [link, text];
    definition.hidden = false;
    place();
  };

  for (const inside of document.querySelectorAll("a > .std-term")) {
    const link = inside.parentElement;
    const text = document.getElementById(`definition-${decodeURIComponent(link.hash.slice(1))}`);
    if (!text) continue;
    link.classList.add("has-definition");
    link.setAttribute("aria-describedby", text.id);
    link.removeAttribute("title"); // one hint is enough
    for (const event of ["pointerenter", "focus"]) link.addEventListener(event, () => show(link, text));
    link.addEventListener("pointerleave", hideSoon);
    link.addEventListener("blur", hide);
    text.onpointerenter = () => clearTimeout(leaving);
    text.onpointerleave = hideSoon;
  }

  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", place, { passive: true }); // a term that gets the focus may scroll into view
  addEventListener("resize", place);
}
