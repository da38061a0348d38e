// A card beside a symbol, a citation or a cross reference says what it leads to, on hover and on
// focus. Escape closes it, and the pointer may move onto it.
(() => {
  const article = document.querySelector(".bd-article");
  if (!article) return;
  const card = document.createElement("div");
  card.id = "card";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  document.body.append(card);
  let owner = null, timer = 0;

  const clip = text => text.length > 320 ? text.slice(0, text.lastIndexOf(" ", 320)) + " …" : text;
  const say = (title, text) => {
    card.replaceChildren();
    if (title) card.append(Object.assign(document.createElement("strong"), { textContent: title }));
    if (text) card.append(Object.assign(document.createElement("p"), { textContent: clip(text) }));
    return Boolean(title || text);
  };
  const words = node => {
    const copy = node.cloneNode(true);
    copy.querySelectorAll(".headerlink, script, .backrefs, .label, pre").forEach(n => n.remove());
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  // The search index is the only place that knows other pages without a request per page.
  let loading = null;
  const sections = () => loading ||= new Promise(done => {
    if (window.searchSections) return done(window.searchSections);
    const script = document.createElement("script");
    script.src = document.documentElement.dataset.content_root + "_static/search-data.js";
    script.onload = () => done(window.searchSections || []);
    script.onerror = () => done([]);
    document.head.append(script);
  });

  const fill = async link => {
    if (link.dataset.says) return say(link.dataset.term, link.dataset.says);
    const to = new URL(link.href);
    const id = decodeURIComponent(to.hash.slice(1));
    if (to.pathname === location.pathname && id) {
      const target = document.getElementById(id);
      if (!target) return false;
      const formula = target.querySelector(":scope > mjx-container") || (target.matches(".math") && target.querySelector("mjx-container"));
      if (formula) {
        card.replaceChildren(formula.cloneNode(true));
        return true;
      }
      const heading = target.querySelector(":is(h1,h2,h3,h4)");
      const text = heading ? target.querySelector("p") : target;
      return say(heading && words(heading), text && words(text));
    }
    const root = new URL(document.documentElement.dataset.content_root, location.href);
    if (!to.href.startsWith(root.href)) return false;
    const page = decodeURIComponent(to.pathname.slice(root.pathname.length));
    const own = (await sections()).filter(s => s.page === page);
    const section = own.find(s => s.anchor === id) || own[0];
    if (!section) return false;
    const title = section.heading === section.chapter ? section.chapter : `${section.chapter}: ${section.heading}`;
    return say(title, section.text.split("\n").find(line => line.length > 60) || section.text.split("\n")[0]);
  };
  const place = link => {
    const box = link.getBoundingClientRect();
    card.hidden = false;
    const left = Math.min(Math.max(8, box.left), document.documentElement.clientWidth - card.offsetWidth - 8);
    const above = box.bottom + card.offsetHeight + 12 > window.innerHeight && box.top > card.offsetHeight + 12;
    card.style.left = `${left + window.scrollX}px`;
    card.style.top = `${(above ? box.top - card.offsetHeight - 6 : box.bottom + 6) + window.scrollY}px`;
  };
  const close = () => {
    clearTimeout(timer);
    card.hidden = true;
    if (owner) owner.removeAttribute("aria-describedby");
    owner = null;
  };
  const open = link => {
    clearTimeout(timer);
    if (owner === link) return;
    timer = setTimeout(async () => {
      close();
      owner = link;
      if (!(await fill(link)) || owner !== link) return;
      link.setAttribute("aria-describedby", "card");
      place(link);
    }, 250);
  };
  const leave = () => { clearTimeout(timer); timer = setTimeout(close, 250); };
  const worth = event => {
    const link = event.target.closest && event.target.closest("a.reference.internal, a.symbol");
    return link && article.contains(link) ? link : null;
  };
  article.addEventListener("pointerover", event => { const link = worth(event); if (link && event.pointerType === "mouse") open(link); });
  article.addEventListener("pointerout", event => { if (worth(event)) leave(); });
  article.addEventListener("focusin", event => { const link = worth(event); if (link && link.matches(":focus-visible")) open(link); });
  article.addEventListener("focusout", event => { if (worth(event)) leave(); });
  card.addEventListener("pointerenter", () => clearTimeout(timer));
  card.addEventListener("pointerleave", leave);
  document.addEventListener("keydown", event => { if (event.key === "Escape") close(); });
})();
