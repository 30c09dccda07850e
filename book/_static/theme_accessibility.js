/* What the theme's pages lack for keyboards and screen readers, put right as the page opens. */
addEventListener("DOMContentLoaded", () => {
  const all = (selector) => document.querySelectorAll(selector);

  /* A label that differs from the words one sees: who speaks to the computer says the words. */
  for (const element of all(".search-button-field, details.hide > summary")) {
    element.removeAttribute("aria-label");
  }

  /* The left side bar is outside every landmark. */
  const sidebar = document.querySelector(".bd-sidebar-primary");
  if (sidebar && !sidebar.hasAttribute("role")) {
    sidebar.setAttribute("role", "complementary");
    sidebar.setAttribute("aria-label", "Book");
  }

  /* What scrolls sideways can be reached and scrolled by keyboard. */
  const scrollers = all(".bd-article .cell_output figure, .bd-article div.math, .bd-article pre");
  const markScrollers = () => {
    for (const box of scrollers) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else if (box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  };
  markScrollers();
  addEventListener("load", markScrollers);
  addEventListener("resize", markScrollers);
});
