// The data of the page: runs, their series, smoothing, and where a step lies on the axis.

const data = JSON.parse(document.getElementById("data").textContent);

const charted = {
  title: {
    "train/CrossEntropyLoss": ["Training loss", "nats per token"],
    "train/ZLoss": ["Z-loss", ""],
    "train/skipped_steps": ["Skipped steps", "so far"],
    "optim/learning_rate_group0": ["Learning rate", ""],
    "optim/total_grad_norm": ["Gradient norm", "before clipping"],
    "optim/clipping_rate": ["Clipped parameters", "share"],
    "throughput/device/tokens_per_second": ["Throughput", "tokens per second"],
    "throughput/device/batches_per_second": ["Steps per second", ""],
    "System/Peak GPU Memory (MB)": ["Peak GPU memory", "MB"],
    "System/Peak CPU Memory (MB)": ["Peak memory of the process", "MB"],
  },
  groups: [
    ["Training", name => name.startsWith("train/")],
    ["Validation", name => name.startsWith("eval/")],
    ["Optimizer", name => name.startsWith("optim/")],
    ["Speed and memory", name => name.startsWith("throughput/") || name.startsWith("System/")],
    ["Other metrics", () => true],
  ],
};

/** [title, unit] of a metric. */
function describeMetric(name) {
  if (Object.hasOwn(charted.title, name)) return charted.title[name];
  const evaluation = name.match(/^eval\/(.*)\/CrossEntropyLoss$/s);
  return evaluation ? ["Validation loss: " + evaluation[1], "nats per token"] : [name, ""];
}

const tokensMetric = "throughput/total_tokens";

/** The series of a run by name, or undefined. */
function seriesOf(run, name) {
  return Object.hasOwn(run.series, name) ? run.series[name] : undefined;
}

/** The names of all series, in the order of the runs, without the one that only serves as an axis. */
function metricNames() {
  const names = new Set();
  for (const run of data.runs) for (const name of Object.keys(run.series)) names.add(name);
  names.delete(tokensMetric);
  const first = Object.keys(charted.title);
  const place = name => first.includes(name) ? first.indexOf(name) : first.length;
  return [...names].sort((a, b) => place(a) - place(b));
}

/** The first index of sorted `values` whose value is not below `value`. */
function lowerBound(values, value) {
  let begin = 0;
  let end = values.length;
  while (begin < end) {
    const middle = (begin + end) >> 1;
    if (values[middle] < value) begin = middle + 1;
    else end = middle;
  }
  return begin;
}

/** Tokens that a run has seen after `step`: between the points of the metric, and beyond them, by straight lines. */
function tokensAt(run, step) {
  const tokens = seriesOf(run, tokensMetric);
  if (!tokens || tokens.steps.length === 0) return NaN;
  const {steps, values} = tokens;
  if (steps.length === 1) return values[0] * step / steps[0];
  const right = Math.min(Math.max(lowerBound(steps, step), 1), steps.length - 1);
  const share = (step - steps[right - 1]) / (steps[right] - steps[right - 1]);
  return values[right - 1] + share * (values[right] - values[right - 1]);
}

/** Means of all points at most half a window of steps away. */
function smoothed(steps, values, window) {
  const means = [];
  let begin = 0;
  let end = 0;
  let sum = 0;
  for (const step of steps) {
    while (end < steps.length && steps[end] <= step + window / 2) sum += values[end++];
    while (steps[begin] < step - window / 2) sum -= values[begin++];
    means.push(sum / (end - begin));
  }
  return means;
}

/** What to draw of a series: a curve and, when smoothed, the raw points behind it; x as the axis wants it. */
function curvesOf(run, series, view) {
  const across = steps => view.axis === "tokens" ? steps.map(step => tokensAt(run, step)) : steps;
  const raw = {steps: series.steps, x: across(series.steps), y: series.values};
  if (view.window === 0) return {curve: raw, faint: null};
  const {steps, values} = series.means ?? series;
  return {curve: {steps, x: across(steps), y: smoothed(steps, values, view.window)}, faint: raw};
}

/** [low, high] of the axis across: of all points of all runs that are shown; null if there are none. */
function acrossOf(view) {
  const ends = data.runs.flatMap((run, index) => view.hidden.has(index) ? [] : Object.values(run.series).flatMap(({steps}) => {
    const shown = view.logX ? steps.slice(lowerBound(steps, 1)) : steps;  // step 0 has no logarithm
    return shown.length === 0 ? [] : [shown[0], shown.at(-1)].map(step => view.axis === "tokens" ? tokensAt(run, step) : step);
  }));
  return extentOf([ends], view.logX, 0);
}
