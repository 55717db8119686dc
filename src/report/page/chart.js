// A chart of one metric: curves of all runs, axes, a cursor for pointer and keyboard, zooming by dragging.

const svgNamespace = "http://www.w3.org/2000/svg";

/** An HTML element; texts among the children become text nodes, so that no name is ever read as markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const dashes = ["", "7 3", "2 3", "9 3 2 3"];

/** Color and dashes of a run: eight colors, then the same with other dashes. */
function strokeOf(index) {
  return {stroke: `var(--run-${index % 8})`, "stroke-dasharray": dashes[Math.floor(index / 8) % dashes.length]};
}

const margin = {left: 58, right: 14, top: 8, bottom: 40};

/** [low, high] of finite numbers, positive ones only if logarithmic, with some room; null if there are none. */
function extentOf(lists, logarithmic, room) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of lists) {
    for (const value of values) {
      if (!Number.isFinite(value) || logarithmic && value <= 0) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return null;
  if (low === high) return logarithmic ? [low / 1.5, high * 1.5] : [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  if (!logarithmic) return [low - (high - low) * room, high + (high - low) * room];
  const factor = (high / low) ** room;
  return [low / factor, high * factor];
}

class Chart {
  /** `view` is the page's state; `onRange` is told what was chosen by dragging, `onCursor` where the cursor went. */
  constructor(metric, view, {wide, onRange, onCursor}) {
    this.metric = metric;
    this.view = view;
    this.onRange = onRange;
    this.onCursor = onCursor;
    this.height = wide ? 350 : 225;
    const [title, unit] = describeMetric(metric);
    this.title = title;
    this.svg = svgElement("svg", {tabindex: "0", role: "group", height: this.height,
      "aria-roledescription": "chart", "aria-label": title + ". Arrow keys move the cursor and read the values."});
    this.figure = element("figure", {class: wide ? "wide" : "", "data-metric": metric},
      element("figcaption", {}, title, element("span", {}, unit)), this.svg);
    this.listen();
  }

  draw() {
    this.width = Math.max(260, this.svg.clientWidth || 600);
    this.lines = data.runs.map((run, index) => ({run, index, series: seriesOf(run, this.metric)}))
      .filter(line => line.series && !this.view.hidden.has(line.index))
      .map(line => ({...line, ...curvesOf(line.run, line.series, this.view)}));
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    if (!this.makeScales()) {
      this.svg.append(svgElement("text", {class: "nothing", x: this.width / 2, y: this.height / 2, "text-anchor": "middle"},
        "nothing to show here"));
      return;
    }
    this.drawAxes();
    this.drawCurves();
    this.overlay = svgElement("g");
    this.svg.append(this.overlay);
    this.showCursor(this.view.cursor);
  }

  /** Scales of what is visible: across the same for all charts, and up the curves within it. False if nothing is. */
  makeScales() {
    const {logX, logY, from, to} = this.view;
    const across = acrossOf(this.view);
    if (!across) return false;
    const low = from !== null && (!logX || from > 0) ? from : across[0];
    const high = to !== null ? to : across[1];
    if (!(low < high)) return false;
    const up = extentOf(this.lines.map(({curve}) => curve.y.filter((_, i) => curve.x[i] >= low && curve.x[i] <= high)), logY, 0.05);
    if (!up) return false;
    this.x = new Scale(low, high, margin.left, this.width - margin.right, logX);
    this.y = new Scale(up[0], up[1], this.height - margin.bottom, margin.top, logY);
    return true;
  }

  drawAxes() {
    const bottom = this.height - margin.bottom;
    for (const tick of this.y.ticks(this.height / 45)) {
      const y = this.y.pixel(tick).toFixed(1);
      this.svg.append(svgElement("line", {class: "gridline", x1: margin.left, x2: this.width - margin.right, y1: y, y2: y}),
        svgElement("text", {x: margin.left - 7, y, "text-anchor": "end", "dominant-baseline": "middle"}, tickText(tick)));
    }
    for (const tick of this.x.ticks(this.width / 90)) {
      const x = this.x.pixel(tick).toFixed(1);
      this.svg.append(svgElement("line", {class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4}),
        svgElement("text", {x, y: bottom + 16, "text-anchor": "middle"}, tickText(tick)));
    }
    this.svg.append(svgElement("line", {class: "axis", x1: margin.left, x2: this.width - margin.right, y1: bottom, y2: bottom}),
      svgElement("text", {x: (margin.left + this.width - margin.right) / 2, y: bottom + 33, "text-anchor": "middle"},
        this.view.axis === "tokens" ? "tokens" : "step"));
  }

  drawCurves() {
    const clip = "clip-" + charts.indexOf(this);
    const box = {x: margin.left - 4, y: margin.top - 4, width: this.width - margin.left - margin.right + 8,
      height: this.height - margin.top - margin.bottom + 8};
    const area = svgElement("g", {"clip-path": `url(#${clip})`});
    this.svg.append(svgElement("clipPath", {id: clip}, svgElement("rect", box)), area);
    for (const line of this.lines) {
      if (line.faint) area.append(svgElement("path", {class: "faint", d: this.path(line.faint), ...strokeOf(line.index)}));
    }
    for (const line of this.lines) {
      area.append(svgElement("path", {class: "curve", "data-run": line.index, d: this.path(line.curve), ...strokeOf(line.index)}));
      if (line.curve.x.length <= 30) this.drawDots(area, line);
      for (const step of line.series.missing.steps) {
        const x = this.x.pixel(this.view.axis === "tokens" ? tokensAt(line.run, step) : step);
        if (!Number.isFinite(x)) continue;
        area.append(svgElement("path", {class: "missing", stroke: `var(--run-${line.index % 8})`,
          d: `M${x - 4} ${margin.top}l8 8m0 -8l-8 8`}, svgElement("title", {}, `${line.run.name}: not a finite number at step ${step}`)));
      }
    }
  }

  drawDots(area, line) {
    for (let i = 0; i < line.curve.x.length; ++i) {
      const [x, y] = [this.x.pixel(line.curve.x[i]), this.y.pixel(line.curve.y[i])];
      if (Number.isFinite(x) && Number.isFinite(y)) {
        area.append(svgElement("circle", {cx: x.toFixed(1), cy: y.toFixed(1), r: 2.6, fill: `var(--run-${line.index % 8})`}));
      }
    }
  }

  /** A path through the points that the scales can show. */
  path({x, y}) {
    let text = "";
    for (let i = 0; i < x.length; ++i) {
      const [across, up] = [this.x.pixel(x[i]), this.y.pixel(y[i])];
      if (Number.isFinite(across) && Number.isFinite(up)) text += (text ? "L" : "M") + across.toFixed(1) + " " + up.toFixed(1);
    }
    return text;
  }

  /** The point of each line that is nearest to `x`, none farther than a line's own ends by a tenth of the chart. */
  nearest(x) {
    const reach = (this.x.high - this.x.low) / 10;
    return this.lines.map(line => {
      const right = lowerBound(line.curve.x, x);
      const index = right > 0 && (right === line.curve.x.length || x - line.curve.x[right - 1] < line.curve.x[right] - x)
        ? right - 1 : right;
      return {line, index, x: line.curve.x[index], y: line.curve.y[index], step: line.curve.steps[index]};
    }).filter(point => Number.isFinite(point.y) && Math.abs(point.x - x) <= reach);
  }

  /** The dashed line at `x` with a dot on each curve; null removes it. Returns the points. */
  showCursor(x) {
    if (!this.overlay) return [];
    this.overlay.replaceChildren();
    if (x === null || x < this.x.low || x > this.x.high) return [];
    const points = this.nearest(x);
    const at = this.x.pixel(x).toFixed(1);
    this.overlay.append(svgElement("line", {class: "cursor", x1: at, x2: at, y1: margin.top, y2: this.height - margin.bottom}));
    for (const point of points) {
      const [across, up] = [this.x.pixel(point.x), this.y.pixel(point.y)];
      if (Number.isFinite(across) && Number.isFinite(up)) {
        this.overlay.append(svgElement("circle", {cx: across.toFixed(1), cy: up.toFixed(1), r: 3.5, fill: `var(--run-${point.line.index % 8})`}));
      }
    }
    return points;
  }

  pointerX(event) {
    const box = this.svg.getBoundingClientRect();
    const pixel = (event.clientX - box.left) * this.width / box.width;
    return this.x.value(Math.min(Math.max(pixel, margin.left), this.width - margin.right));
  }

  listen() {
    this.svg.addEventListener("pointermove", event => {
      if (!this.overlay || !this.lines.length) return;
      const x = this.pointerX(event);
      this.onCursor(this, x, event);
      if (this.dragFrom !== undefined && event.buttons === 1) this.showSelection(this.dragFrom, x);
    });
    this.svg.addEventListener("pointerleave", () => this.onCursor(this, null, null));
    this.svg.addEventListener("pointerdown", event => {
      if (event.button === 0 && event.pointerType === "mouse" && this.overlay) this.dragFrom = this.pointerX(event);
    });
    this.svg.addEventListener("pointerup", event => {
      if (this.dragFrom === undefined) return;
      const ends = [this.dragFrom, this.pointerX(event)].sort((a, b) => a - b);
      this.dragFrom = undefined;
      if (this.x.pixel(ends[1]) - this.x.pixel(ends[0]) > 6) this.onRange(...ends);
    });
    this.svg.addEventListener("dblclick", () => this.onRange(null, null));
    this.svg.addEventListener("keydown", event => this.onKey(event));
    this.svg.addEventListener("blur", () => this.onCursor(this, null, null));
  }

  showSelection(from, to) {
    const [begin, end] = [this.x.pixel(Math.min(from, to)), this.x.pixel(Math.max(from, to))];
    this.overlay.append(svgElement("rect", {class: "selection", x: begin, width: end - begin, y: margin.top,
      height: this.height - margin.top - margin.bottom}));
  }

  onKey(event) {
    if (event.key === "Escape") {
      this.onRange(null, null);
      return;
    }
    const moves = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity};
    if (!Object.hasOwn(moves, event.key) || !this.overlay) return;
    event.preventDefault();
    const visible = this.lines[0].curve.x.filter(x => x >= this.x.low && x <= this.x.high);
    if (visible.length === 0) return;
    const here = this.view.cursor === null ? -1 : lowerBound(visible, this.view.cursor);
    const next = here + moves[event.key] * (event.shiftKey ? 10 : 1);
    this.onCursor(this, visible[Math.min(Math.max(next, 0), visible.length - 1)], event);
  }
}
