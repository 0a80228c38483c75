// Draws the charts of the page, and those again whose numbers have changed, each in the place of its former self.
"use strict";
(() => {
  const place = document.getElementById("charts");
  const shown = new Map();

  // Vega writes no code from its expressions here (ast), and no styles into the page, which allows neither.
  const options = {
    ast: true, actions: false, renderer: "svg", mode: "vega-lite", defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };

  function figureOf(name, title, wide) {
    const known = document.getElementById(`chart-${name}`);
    if (known) return known;
    const figure = document.createElement("figure");
    figure.id = `chart-${name}`;
    figure.classList.toggle("wide", wide);
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    figure.append(caption, document.createElement("div"));
    place.append(figure);
    return figure;
  }

  async function draw({ name, title, wide, spec }) {
    const text = JSON.stringify(spec);
    if (shown.get(name)?.text === text) return;
    const figure = figureOf(name, title, wide);
    const before = figure.lastElementChild;
    const next = document.createElement("div");
    before.after(next);
    before.classList.add("leaving"); // out of the flow, still in sight until the new one stands
    try {
      const { view } = await vegaEmbed(next, spec, options);
      shown.get(name)?.view.finalize();
      shown.set(name, { text, view });
    } catch (error) {
      next.textContent = "This chart cannot be drawn here.";
      console.error(name, error);
    }
    before.remove();
  }

  let turn = Promise.resolve();
  function drawAll() {
    const specs = document.getElementById("chart-specs");
    const charts = specs ? JSON.parse(specs.textContent) : [];
    turn = turn.then(async () => { for (const chart of charts) await draw(chart); });
  }

  document.addEventListener("part", (event) => { if (event.detail === "charts-specs") drawAll(); });
  drawAll();
})();
