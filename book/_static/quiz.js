// Choosing an answer opens its explanation and says it to a screen reader.
// Without this script the explanations unfold by hand; all words are the page's own.

{
  for (const quiz of document.querySelectorAll("fieldset.quiz")) {
    const status = document.createElement("div");
    status.className = "quiz-status visually-hidden";
    status.setAttribute("role", "status");
    quiz.append(status);
    quiz.classList.add("quiz-live");

    quiz.addEventListener("change", ({ target }) => {
      for (const choice of quiz.querySelectorAll(".quiz-choice")) {
        choice.querySelector("details").open = choice.contains(target);
      }
      // A copy, because a live region speaks only what is put into it: without names and links of its own.
      const explanation = target.closest(".quiz-choice").querySelector("details > div");
      const spoken = explanation.cloneNode(true);
      for (const named of spoken.querySelectorAll("[id]")) named.removeAttribute("id");
      for (const link of spoken.querySelectorAll("a")) link.replaceWith(...link.childNodes);
      status.replaceChildren(spoken);
    });
  }

  // On paper every explanation is open.
  const folds = () => [...document.querySelectorAll(".quiz-explanation")];
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = folds().filter((fold) => !fold.open);
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of folded) fold.open = false;
  });
}
