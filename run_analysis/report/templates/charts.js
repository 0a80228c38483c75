// Draws the charts of a page: each element with data-chart="ID" takes the spec in the JSON script of that id.
(() => {
  "use strict";

  // The specs' expressions are interpreted and all styles are the page's: no policy has to allow eval or
  // styles that come later.
  const options = {
    renderer: "svg",
    actions: false,
    ast: true,
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };

  window.drawChart = (element, spec) => window.vegaEmbed(element, spec, options);

  const drawAll = () => {
    const drawn = [...document.querySelectorAll("[data-chart]")].map((element) =>
      window.drawChart(element, JSON.parse(document.getElementById(element.dataset.chart).textContent)),
    );
    return Promise.all(drawn);
  };

  // On paper nothing can be opened any more. Afterwards, what was closed is closed again.
  const openAll = () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      details.dataset.openedForPrint = "";
    }
  };
  const closeAgain = () => {
    for (const details of document.querySelectorAll("details[data-opened-for-print]")) {
      details.open = false;
      delete details.dataset.openedForPrint;
    }
  };

  const start = () => {
    window.addEventListener("beforeprint", openAll);
    window.addEventListener("afterprint", closeAgain);
    drawAll().then(() => {
      document.documentElement.dataset.charts = "drawn";
    });
  };
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
