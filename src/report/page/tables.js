// The tables: results, memory, differences of the configurations.

const categoryText = {
  masters: "parameters", gradients: "gradients", weights: "weights as operands", moments: "optimizer moments",
  metadata: "scales of moments", saved: "saved activations", batch: "batch", scratch: "scratch of one call",
};

function headOf(first) {
  return element("thead", {}, element("tr", {}, element("th", {scope: "col"}, first),
    ...data.runs.map(run => element("th", {scope: "col"}, run.name))));
}

function rowHead(text, note) {
  return element("th", {scope: "row"}, text, ...(note ? [" ", element("small", {}, note)] : []));
}

/** Rows {label, note, values, better}: `better` is "lowest", "highest" or nothing; values are numbers or undefined. */
function drawResults() {
  document.getElementById("results-hint").textContent = "Losses are in nats per token; lower is better." +
    (data.runs.length > 1 ? " The best of a row is bold." : "");
  const body = element("tbody");
  for (const {label, note, values, better, text = numberText} of resultRows()) {
    const numbers = values.filter(Number.isFinite);
    if (numbers.length === 0) continue;
    const best = better && numbers.length > 1 && Math.min(...numbers) < Math.max(...numbers)
      ? (better === "lowest" ? Math.min : Math.max)(...numbers) : undefined;
    body.append(element("tr", {}, rowHead(label, note), ...values.map(value => value === best && best !== undefined
      ? element("td", {class: "best", title: better}, text(value))
      : element("td", {}, Number.isFinite(value) ? text(value) : "–"))));
  }
  document.getElementById("results-table").append(body.childElementCount === 0
    ? element("p", {style: "padding: 0 12px"}, "No metrics yet.") : element("table", {}, headOf(""), body));
}

function resultRows() {
  const summary = (name, key) => data.runs.map(run => seriesOf(run, name)?.summary[key]);
  const loss = "train/CrossEntropyLoss";
  const speed = "throughput/device/tokens_per_second";
  const rows = [
    {label: "Last step", values: data.runs.map(run => run.last_step)},
    {label: "Tokens seen", values: summary(tokensMetric, "last")},
    {label: "Training loss", note: "mean of the last 10 logged steps", values: summary(loss, "mean_of_last"), better: "lowest"},
  ];
  for (const name of metricNames().filter(name => name.startsWith("eval/"))) {
    const isLoss = name.endsWith("/CrossEntropyLoss") || /_(ce_loss|bpb)$/.test(name);
    rows.push({label: describeMetric(name)[0], note: "last", values: summary(name, "last"), better: isLoss ? "lowest" : "highest"});
    if (isLoss) rows.push({label: describeMetric(name)[0], note: "least", values: summary(name, "least"), better: "lowest"});
  }
  rows.push({label: "Throughput", note: "tokens per second, median", values: summary(speed, "median"), better: "highest"});
  for (const name of ["train/skipped_steps", "System/Peak GPU Memory (MB)", "System/Peak CPU Memory (MB)"]) {
    rows.push({label: describeMetric(name)[0], note: name.startsWith("System/") ? "MB, most" : "in all", values: summary(name, "most")});
  }
  rows.push({label: "Values that are not finite", note: "in charted metrics",
    values: data.runs.map(run => Object.values(run.series).reduce((sum, series) => sum + series.missing.count, 0) || undefined)});
  rows.push({label: "Memory of tensors", note: "planned",
    values: data.runs.map(run => run.memory.total), better: "lowest", text: bytesText});
  return rows;
}

function drawMemory() {
  const bars = document.getElementById("memory-bars");
  const most = Math.max(1, ...data.runs.map(run => run.memory.total ?? 0));
  const planned = data.runs.filter(run => run.memory.total !== undefined);
  const names = planned.length ? planned[0].memory.categories.map(([name]) => name) : [];
  for (const run of data.runs) {
    if (run.memory.total === undefined) {
      bars.append(element("div", {class: "bar-row"}, element("div", {}, run.name),
        element("div", {class: "bar-error"}, "no plan: " + run.memory.error)));
      continue;
    }
    const bar = element("div", {class: "bar", role: "img", "aria-label": `${run.name}: ${bytesText(run.memory.total)}, by category in the table below`});
    run.memory.categories.forEach(([name, bytes], index) => {
      bar.append(element("div", {style: `width: ${100 * bytes / most}%; background: var(--part-${index % 8})`,
        title: `${name}: ${bytesText(bytes)}`}));
    });
    bars.append(element("div", {class: "bar-row"}, element("div", {}, run.name), bar, element("div", {}, bytesText(run.memory.total))));
  }
  bars.append(element("div", {class: "parts"}, ...names.map((name, index) => element("span", {},
    element("span", {class: "swatch", style: `background: var(--part-${index % 8})`}), categoryText[name] ?? name))));
  const body = element("tbody");
  for (const name of names) {
    const bytes = run => run.memory.categories?.find(([category]) => category === name)?.[1];
    body.append(element("tr", {}, rowHead(categoryText[name] ?? name, name),
      ...data.runs.map(run => element("td", {}, bytes(run) === undefined ? "–" : bytesText(bytes(run))))));
  }
  if (names.length) document.getElementById("memory-table").append(element("table", {}, headOf("Category"), body));
}

function drawDifferences() {
  const hint = document.getElementById("differences-hint");
  if (data.runs.length === 1) {
    hint.textContent = "One run: nothing to compare.";
    return;
  }
  if (data.differences.length === 0) {
    hint.textContent = "The configurations are the same.";
    return;
  }
  hint.textContent = "Keys whose values are not the same in all runs; – where a run's configuration has no such key.";
  const body = element("tbody");
  for (const {key, values} of data.differences) {
    body.append(element("tr", {}, element("th", {scope: "row"}, element("code", {}, key)),
      ...values.map(value => value === null ? element("td", {class: "text without"}, "–")
        : element("td", {class: "text"}, element("code", {}, value)))));
  }
  document.getElementById("differences-table").append(element("table", {}, headOf("Key"), body));
}
