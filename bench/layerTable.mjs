// The results of the group `layers` as a table: one line a case, slower ones marked, counts below.
/** Times that differ by less than this are called equal: a noisy machine does not repeat them better. */
const NOISE = 0.97;

/** Markdown. `results` as run.mjs has them; cases that are no layers are left out. */
export function formatTable(results, layers) {
  const names = new Set(layers.map((item) => item.name));
  const shown = results.filter((r) => names.has(r.name) && r.mode === 'compiled');
  const versions = new Map(shown.flatMap((r) => Object.entries(r.peers).map(([peer, p]) => [peer, p.version])));
  const head = ['case', 'ms', ...Array.from(versions, ([, version]) => [`PyTorch ${version}, ms`, 'ratio']).flat(), ''];
  const lines = shown.map((r) => {
    const cells = Array.from(versions.keys(), (peer) => {
      const p = r.peers[peer];
      return p === undefined ? ['–', '–'] : [p.ms.toPrecision(3), p.ratio.toFixed(2)];
    });
    return [r.name, r.ms.toPrecision(3), ...cells.flat(), isSlower(r) ? 'slower' : ''];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)));
  const print = (cells) => `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |\n`;
  const rule = `|${widths.map((w, i) => (i === 0 ? '-'.repeat(w + 2) : `${'-'.repeat(w + 1)}:`)).join('|')}|\n`;
  return `${print(head)}${rule}${lines.map(print).join('')}\n${countsOf(shown, versions)}`;
}

const isSlower = (r) => Object.values(r.peers).some((p) => p.ratio < NOISE);

function countsOf(shown, versions) {
  return Array.from(versions, ([peer, version]) => {
    const ratios = shown.flatMap((r) => r.peers[peer]?.ratio ?? []).sort((a, b) => a - b);
    const slower = ratios.filter((r) => r < NOISE).length;
    return `PyTorch ${version}: ${slower} of ${ratios.length} slower, median ratio ${ratios[ratios.length >> 1]?.toFixed(2)}.\n`;
  }).join('');
}
