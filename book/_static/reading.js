// Figures zoom on click or Enter; what is wider than its column can be scrolled by keyboard and
// shows on which side there is more.
(() => {
  const article = document.querySelector(".bd-article");
  if (!article) return;

  const dialog = document.createElement("dialog");
  dialog.id = "zoom";
  dialog.innerHTML = '<div tabindex="0"><img></div><form method="dialog">' +
    '<button type="button" class="size">Full size</button><button>Close</button></form>';
  document.body.append(dialog);
  const shown = dialog.querySelector("img");
  const size = dialog.querySelector(".size");
  const fit = full => {
    dialog.classList.toggle("full", full);
    size.textContent = full ? "Fit the screen" : "Full size";
  };
  size.addEventListener("click", () => fit(!dialog.classList.contains("full")));
  dialog.addEventListener("click", event => { if (event.target.tagName === "DIV") dialog.close(); });
  article.addEventListener("click", event => {
    const link = event.target.closest("a.zoom");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const picture = [...link.querySelectorAll("img")].find(img => img.offsetWidth) || link.querySelector("img");
    shown.src = picture.currentSrc || picture.src;
    shown.alt = picture.alt;
    dialog.setAttribute("aria-label", picture.alt);
    fit(false);
    dialog.showModal();
  });

  const wide = [...article.querySelectorAll(".table-scroll, div.math, div.highlight > pre, table")]
    .filter(node => node.tagName !== "TABLE" || !node.closest(".table-scroll"));
  const frames = wide.map(inside => {
    let box = inside;
    if (inside.tagName === "TABLE") {
      box = document.createElement("div");
      box.className = "table-scroll";
      inside.before(box);
      box.append(inside);
    }
    const frame = document.createElement("div");
    frame.className = "scrolls";
    box.before(frame);
    frame.append(box);
    const marks = ["before", "after"].map(side => {
      const mark = document.createElement("span");
      mark.className = `more ${side}`;
      mark.textContent = side === "before" ? "‹" : "›";
      mark.setAttribute("aria-hidden", "true");
      mark.hidden = true;
      frame.append(mark);
      return mark;
    });
    const look = () => {
      const hidden = box.scrollWidth - box.clientWidth;
      marks[0].hidden = hidden < 2 || box.scrollLeft < 2;
      marks[1].hidden = hidden < 2 || box.scrollLeft > hidden - 2;
      if (hidden < 2) box.removeAttribute("tabindex");
      else box.tabIndex = 0;
      if (!box.getAttribute("role") && hidden >= 2) {
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", box.classList.contains("math") ? "Equation" : box.tagName === "PRE" ? "Code" : "Table");
      }
    };
    box.addEventListener("scroll", look, { passive: true });
    return { box, look };
  });
  const watch = new ResizeObserver(entries => {
    for (const { target } of entries) {
      const frame = frames.find(f => f.box === target || f.box.contains(target));
      if (frame) frame.look();
    }
  });
  for (const { box, look } of frames) {
    watch.observe(box);
    if (box.firstElementChild) watch.observe(box.firstElementChild);
    look();
  }
  const all = () => frames.forEach(f => f.look());
  window.addEventListener("load", all);
  document.addEventListener("equations", all);
})();
