/** Four panels with logarithmic axes: measured times, and the straight line of the last point's order. */
export function growthChart(results) {
  const [width, height] = [360, 260];
  const panels = results.map((result, i) => panel(result, (i % 2) * width, Math.floor(i / 2) * height, width, height));
  const style = 'text{font:11px sans-serif;fill:#333}.t{font-weight:bold;font-size:13px}';
  const size = `width="${2 * width}" height="${2 * height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><title>Time of a training step against its size</title><style>${style}</style><rect ${size} fill="#fff"/>${panels.join('')}</svg>\n`;
}

function panel({ name, unit, order, points }, left, top, width, height) {
  const box = { x0: left + 52, x1: left + width - 16, y0: top + height - 40, y1: top + 30 };
  const last = points.at(-1);
  const ideal = points.map(({ size }) => ({ size, ms: last.ms * (size / last.size) ** order }));
  const all = [...points, ...ideal].map((p) => p.ms);
  const [lowX, highX] = [Math.log10(points[0].size), Math.log10(last.size)];
  const [lowY, highY] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))];
  const x = (size) => box.x0 + ((Math.log10(size) - lowX) / (highX - lowX)) * (box.x1 - box.x0);
  const y = (ms) => box.y0 - ((Math.log10(ms) - lowY) / (highY - lowY)) * (box.y0 - box.y1);
  const line = (list, extra) =>
    `<polyline fill="none" ${extra} points="${list.map((p) => `${x(p.size).toFixed(1)},${y(p.ms).toFixed(1)}`).join(' ')}"/>`;
  const text = (at, down, value, extra = '') => `<text x="${at.toFixed(1)}" y="${down.toFixed(1)}" ${extra}>${value}</text>`;
  const marks = Array.from({ length: highY - lowY + 1 }, (_, k) => 10 ** (lowY + k)).map((ms) => {
    const grid = `<line x1="${box.x0}" x2="${box.x1}" y1="${y(ms).toFixed(1)}" y2="${y(ms).toFixed(1)}" stroke="#ddd"/>`;
    return grid + text(box.x0 - 4, y(ms) + 4, `${ms} ms`, 'text-anchor="end"');
  });
  const ticks = points.map(({ size }) => text(x(size), box.y0 + 14, size, 'text-anchor="middle"'));
  const dots = points.map((p) => `<circle cx="${x(p.size).toFixed(1)}" cy="${y(p.ms).toFixed(1)}" r="3" fill="#0a66c2"/>`);
  return [
    text(box.x0, top + 18, name, 'class="t"'),
    text((box.x0 + box.x1) / 2, box.y0 + 30, unit, 'text-anchor="middle"'),
    ...marks,
    ...ticks,
    line(ideal, 'stroke="#999" stroke-dasharray="4 3"'),
    line(points, 'stroke="#0a66c2" stroke-width="2"'),
    ...dots,
  ].join('');
}
