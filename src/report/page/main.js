// The page: its state, its controls, and the charts in their sections.

const view = {hidden: new Set(), axis: "steps", window: 0, logX: false, logY: false, from: null, to: null, cursor: null};
const charts = [];
const byId = id => document.getElementById(id);

window.addEventListener("error", event => showError(event.message));

function showError(message) {
  byId("error").hidden = false;
  byId("error").textContent = "This page has failed: " + message;
}

/** Draws all charts once before the next frame, however often it is called. The cursor goes. */
let drawing = false;
function redraw() {
  view.cursor = null;
  byId("tooltip").hidden = true;
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const chart of charts) chart.draw();
  });
}

function setRange(from, to) {
  view.from = from;
  view.to = to;
  byId("from").value = from === null ? "" : Number(from.toPrecision(6));
  byId("to").value = to === null ? "" : Number(to.toPrecision(6));
  redraw();
}

/** Moves the cursor of all charts, and shows or speaks the values of the one where it is. */
function setCursor(chart, x, event) {
  view.cursor = x;
  let points = [];
  for (const other of charts) {
    const found = other.showCursor(x);
    if (other === chart) points = found;
  }
  const tooltip = byId("tooltip");
  tooltip.hidden = points.length === 0;
  if (points.length === 0) return;
  const step = points[0].step;
  const place = view.axis === "tokens" ? `${numberText(Math.round(x))} tokens` : `step ${numberText(Math.round(step))}`;
  const rows = [...points].sort((a, b) => b.y - a.y).map(({line, y}) => element("tr", {},
    element("td", {}, element("span", {class: "swatch", style: `background: var(--run-${line.index % 8})`}), line.run.name),
    element("td", {class: "number"}, numberText(y))));
  const smoothing = view.window > 0 ? `, mean of ${numberText(view.window)} steps` : "";
  tooltip.replaceChildren(element("div", {}, element("b", {}, place), smoothing), element("table", {}, ...rows));
  placeTooltip(tooltip, chart, x, event);
  if (event?.type === "keydown") {
    byId("spoken").textContent = `${chart.title}, ${place}: ` + points.map(({line, y}) => `${line.run.name} ${numberText(y)}`).join("; ");
  }
}

function placeTooltip(tooltip, chart, x, event) {
  const box = chart.svg.getBoundingClientRect();
  const across = event?.type === "pointermove" ? event.clientX : box.left + chart.x.pixel(x) * box.width / chart.width;
  const up = event?.type === "pointermove" ? event.clientY : box.top + box.height / 3;
  const left = across + 16 + tooltip.offsetWidth > innerWidth ? across - 16 - tooltip.offsetWidth : across + 16;
  tooltip.style.left = Math.max(4, left) + "px";
  tooltip.style.top = Math.max(4, Math.min(up + 12, innerHeight - tooltip.offsetHeight - 4)) + "px";
}

function makeLegend() {
  data.runs.forEach((run, index) => {
    const button = element("button", {type: "button", "aria-pressed": "true", title: run.folder},
      svgElement("svg", {viewBox: "0 0 26 10", "aria-hidden": "true"},
        svgElement("line", {x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 3, ...strokeOf(index)})), run.name);
    button.addEventListener("click", () => {
      if (!view.hidden.delete(index)) view.hidden.add(index);
      button.setAttribute("aria-pressed", String(!view.hidden.has(index)));
      redraw();
    });
    byId("legend").append(button);
  });
}

/** The window of a place of the slider: from two steps, or a few, to a quarter of the longest run. */
function windowOf(place) {
  if (place === 0) return 0;
  const longest = Math.max(8, ...data.runs.map(run => run.last_step));
  return Math.max(2, Math.round(longest / 4 * 10 ** ((place - 20) / 8)));
}

function listen() {
  byId("smoothing").addEventListener("input", () => {
    view.window = windowOf(Number(byId("smoothing").value));
    const text = view.window === 0 ? "off" : `mean of ${numberText(view.window)} steps`;
    byId("smoothing-text").textContent = text;
    byId("smoothing").setAttribute("aria-valuetext", text);
    redraw();
  });
  byId("axis").addEventListener("change", () => {
    view.axis = byId("axis").value;
    setRange(null, null);
  });
  for (const [id, key] of [["log-x", "logX"], ["log-y", "logY"]]) {
    byId(id).addEventListener("change", () => {
      view[key] = byId(id).checked;
      redraw();
    });
  }
  for (const id of ["from", "to"]) {
    byId(id).addEventListener("change", () => {
      view[id] = byId(id).value === "" ? null : Number(byId(id).value);
      redraw();
    });
  }
  byId("reset").addEventListener("click", () => setRange(null, null));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) redraw();
    width = innerWidth;
  });
}

/** Automatic, light and dark in turn; automatic follows the system. */
function listenToTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themes = ["automatic", "light", "dark"];
  let theme = 0;
  const apply = () => {
    const isDark = themes[theme] === "dark" || theme === 0 && system.matches;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    byId("theme").textContent = "Theme: " + themes[theme];
  };
  byId("theme").addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

function makeCharts() {
  const left = new Set(metricNames());
  for (const [title, belongs] of charted.groups) {
    const names = [...left].filter(belongs);
    if (names.length === 0) continue;
    const grid = element("div", {class: "grid"});
    for (const name of names) {
      left.delete(name);
      const chart = new Chart(name, view, {wide: name === "train/CrossEntropyLoss", onRange: setRange, onCursor: setCursor});
      charts.push(chart);
      grid.append(chart.figure);
    }
    byId("charts").append(element("section", {"aria-label": title}, element("h2", {}, title), grid));
  }
}

listenToTheme();
byId("subtitle").textContent = data.runs.length === 1 ? data.runs[0].folder : `${data.runs.length} runs`;
byId("left-out").textContent = "Drag across a chart to see a part of it, double-click to see all. " +
  `Not charted: perplexities (e to the loss), sums since the start, and metrics of single parameters (${data.left_out} names); ` +
  "metrics.jsonl in each run's folder has every number. Of long runs charts keep the extremes of each interval; " +
  "tables are of all numbers.";
makeLegend();
listen();
drawResults();
drawMemory();
drawDifferences();
makeCharts();
for (const chart of charts) chart.draw();
