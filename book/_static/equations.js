// MathJax from this site, on pages that hold a formula; the other pages do not load it.
(() => {
  if (!document.querySelector(".math")) return;
  const vendor = document.documentElement.dataset.content_root + "_static/vendor/";
  const done = () => {
    document.documentElement.dataset.equations = "typeset";
    document.dispatchEvent(new Event("equations"));
  };
  window.MathJax = {
    loader: {
      load: ["input/tex", "output/chtml", "a11y/assistive-mml"],
      paths: { fonts: new URL(vendor, location.href).href.slice(0, -1) },
    },
    output: { font: "mathjax-tex" },
    options: { processHtmlClass: "math", ignoreHtmlClass: "bd-article" },
    startup: {
      ready() {
        delete MathJax.config.options.menuOptions; // set for a menu that is not loaded
        MathJax.startup.defaultReady();
      },
      pageReady: () => MathJax.startup.defaultPageReady().then(done),
    },
  };
  const script = document.createElement("script");
  script.src = vendor + "mathjax/startup.js";
  document.head.append(script);
})();
