// Numbers to pixels, to ticks and to text.

/** A linear or logarithmic map of [low, high] to [begin, end] pixels. */
class Scale {
  constructor(low, high, begin, end, logarithmic) {
    this.logarithmic = logarithmic;
    this.low = low;
    this.high = high;
    this.begin = begin;
    this.end = end;
    this.from = this.inside(low);
    this.to = this.inside(high);
  }

  inside(value) {
    return this.logarithmic ? Math.log10(value) : value;
  }

  pixel(value) {
    return this.begin + (this.inside(value) - this.from) / (this.to - this.from) * (this.end - this.begin);
  }

  value(pixel) {
    const inside = this.from + (pixel - this.begin) / (this.end - this.begin) * (this.to - this.from);
    return this.logarithmic ? 10 ** inside : inside;
  }

  /** About `count` round numbers between low and high. */
  ticks(count) {
    return this.logarithmic ? this.logarithmicTicks(count) : this.linearTicks(count);
  }

  linearTicks(count) {
    const rough = (this.high - this.low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find(factor => factor * power >= rough * 0.999) * power;
    const ticks = [];
    for (let i = Math.ceil(this.low / step - 1e-9); i * step <= this.high + step * 1e-9; ++i) ticks.push(i * step);
    return ticks;
  }

  logarithmicTicks(count) {
    const decades = this.to - this.from;
    if (decades < 0.7) return this.linearTicks(count).filter(tick => tick > 0);
    const every = Math.max(1, Math.ceil(decades / count));
    const factors = decades < count / 2 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = Math.floor(this.from); power <= this.to; ++power) {
      if (power % every !== 0) continue;
      for (const factor of factors) {
        const tick = factor * 10 ** power;
        if (tick >= this.low * 0.9999 && tick <= this.high * 1.0001) ticks.push(tick);
      }
    }
    return ticks;
  }
}

/** A tick's text: 1.5k, 20M, 0.001. */
function tickText(value) {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return "0";
  for (const [unit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (magnitude >= unit) return Number((value / unit).toPrecision(6)) + letter;
  }
  return magnitude < 1e-3 ? Number(value.toPrecision(6)).toExponential() : String(Number(value.toPrecision(6)));
}

/** A number to read: five significant digits, from a thousand on all digits before the point, with separators. */
function numberText(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
  const magnitude = Math.abs(value);
  if (magnitude >= 1e3 && magnitude < 1e15) return Math.round(value).toLocaleString("en-US");
  return magnitude >= 1e15 || magnitude < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}

/** Bytes in binary units, as the command line prints them. */
function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit + 1 < units.length) {
    bytes /= 1024;
    ++unit;
  }
  return (unit === 0 ? bytes : bytes.toFixed(2)) + " " + units[unit];
}
