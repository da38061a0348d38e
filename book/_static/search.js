// The search page: sections ranked by MiniSearch, one entry per chapter, with the sentence that
// holds most of the words. Chapters that explain a term (`terms`) come first for it.
(() => {
  const status = document.getElementById("search-status");
  const list = document.getElementById("search-results");
  const field = document.querySelector(".search-page input");
  const plain = text => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  const asked = new URLSearchParams(location.search).get("q") || "";
  field.value = asked;
  if (!asked.trim()) { field.focus(); return; }

  const fields = ["terms", "chapter", "heading", "text"];
  const index = new MiniSearch({
    fields,
    processTerm: term => plain(term) || null,
    extractField: (section, name) => name === "terms" ? section.terms.flatMap(t => t.names).join(", ") : section[name],
  });
  const sections = window.searchSections;
  index.addAll(sections.map((section, id) => ({ ...section, id })));
  const boost = { terms: 6, chapter: 5, heading: 3, text: 1 };
  const options = { boost, prefix: term => term.length > 2, fuzzy: term => term.length > 5 ? 0.2 : 0 };
  let hits = index.search(asked, { ...options, combineWith: "AND" });
  if (!hits.length) hits = index.search(asked, options);

  const wanted = plain(asked).trim().replace(/\s+/g, " ");
  const meaning = section => section.terms.find(term => term.names.some(name => plain(name) === wanted));
  const chapters = new Map();
  for (const hit of hits) {
    const section = sections[hit.id];
    const phrase = plain(`${section.heading} ${section.text}`).includes(wanted) ? 1.5 : 1;
    const score = hit.score * phrase + (meaning(section) ? 1e6 : 0);
    const entry = chapters.get(section.page) || { score: 0, found: [] };
    entry.score = Math.max(entry.score, score);
    entry.found.push({ section, score });
    chapters.set(section.page, entry);
  }
  const ranked = [...chapters.values()].sort((a, b) => b.score - a.score);
  const terms = wanted.split(" ");

  // A sentence ends where a capital follows, but not after "Sec." and its kind.
  const end = /(?<!\b(?:Sec|Secs|Eq|Eqs|Fig|Figs|al|cf|vs)\.)(?<=[.!?]["”’')]?)\s+(?=["“‘'(]?\p{Lu})/u;
  const sentences = text => text.split("\n").flatMap(line => line.split(end)).map(s => s.trim()).filter(s => s.length > 25);
  const excerpt = found => {
    const said = found.map(({ section }) => meaning(section)).find(Boolean);
    if (said) return `${said.names[0]}: ${said.says}`;
    let best = "", most = 0;
    for (const { section } of found) for (const sentence of sentences(section.text)) {
      const words = plain(sentence);
      const score = (words.includes(wanted) ? terms.length + 1 : 0) + terms.filter(t => words.includes(t)).length
        + (/[.!?]["”’')]?$/.test(sentence) ? 0.5 : 0) - sentence.length / 1e4;
      if (score > most) [best, most] = [sentence, score];
    }
    const own = sections.filter(s => s.page === found[0].section.page);
    return best || sentences(own.map(s => s.text).join("\n"))[0] || "";
  };
  const marked = text => {
    const made = document.createElement("p");
    const pattern = new RegExp(`(${terms.map(t => t.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
    for (const [n, piece] of text.split(pattern).entries()) {
      if (n % 2) made.append(Object.assign(document.createElement("mark"), { textContent: piece }));
      else made.append(piece);
    }
    return made;
  };
  const root = document.documentElement.dataset.content_root;
  const link = (section, text) => {
    const made = document.createElement("a");
    made.href = root + section.page + (section.anchor ? `#${section.anchor}` : "");
    made.textContent = text;
    return made;
  };

  status.textContent = `${ranked.length || "No"} ${ranked.length === 1 ? "chapter" : "chapters"} for “${asked}”.` +
    (ranked.length ? "" : " Try fewer or other words.");
  for (const { found } of ranked) {
    found.sort((a, b) => b.score - a.score);
    const item = document.createElement("li");
    const title = document.createElement("h2");
    const first = found[0].section;
    title.append(link({ page: first.page, anchor: "" }, first.chapter));
    item.append(title, marked(excerpt(found)));
    const places = found.filter(f => f.section.anchor).slice(0, 3);
    if (places.length) {
      const inside = document.createElement("ul");
      for (const { section } of places) {
        const place = document.createElement("li");
        place.append(link(section, section.heading));
        inside.append(place);
      }
      item.append(inside);
    }
    list.append(item);
  }
})();
