// Menu buttons say whether what they open is open; a link inside a menu closes it; a folded place
// that an address leads to unfolds.
(() => {
  const wide = window.matchMedia("(min-width: 992px)");
  const parts = [
    [".primary-toggle", "pst-primary-sidebar", "(min-width: 992px)"],
    [".secondary-toggle", "pst-secondary-sidebar", "(min-width: 1200px)"],
  ];
  for (const [selector, id] of parts) {
    const button = document.querySelector(selector);
    const bar = document.getElementById(id);
    const dialog = document.getElementById(id + "-modal");
    if (!button || !bar || !dialog) continue;
    dialog.setAttribute("aria-label", button.getAttribute("aria-label"));
    const say = () => {
      const shown = dialog.open || (bar.childElementCount > 0 && getComputedStyle(bar).display !== "none"
        && !bar.classList.contains("pst-sidebar-hidden") && wide.matches);
      button.setAttribute("aria-expanded", String(shown));
    };
    new MutationObserver(say).observe(bar, { attributes: true });
    new MutationObserver(say).observe(dialog, { attributes: true });
    wide.addEventListener("change", () => { if (dialog.open) dialog.close(); say(); });
    dialog.addEventListener("click", event => {
      if (event.target.closest("a")) dialog.close();
    });
    const close = document.createElement("button");
    close.type = "button";
    close.className = "close-dialog";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.prepend(close);
    dialog.addEventListener("close", () => button.focus());
    say();
  }

  const menu = document.querySelector(".page-menu");
  document.addEventListener("click", event => {
    if (menu && menu.open && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape" && menu && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let folded = target && target.closest("details:not([open])");
    while (folded) {
      folded.open = true;
      folded = folded.parentElement.closest("details:not([open])");
    }
    if (target) target.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  if (location.hash) unfold();
})();
