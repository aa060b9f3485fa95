/**
 * The chart for the README: throughput by number of readers as horizontal bars, one panel per number, one SVG per Node.
 * It draws its own background, so that it is readable wherever it is put, and follows the colour scheme of the reader.
 */
import { figure } from './cases.mjs';

const PANEL = { width: 400, label: 138, bar: 15, gap: 6, head: 40 };
const MARGIN = 20;
const TITLE = 62;
const FOOT = 44;
const BETWEEN = 28;

const STYLE = `
  svg { font-family: -apple-system, BlinkMacSystemFont, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif; }
  .card { fill: #ffffff; stroke: #d8dee4; }
  .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
  .sub, .foot { fill: #59636e; font-size: 12px; }
  .head { fill: #1f2328; font-size: 13px; font-weight: 600; }
  .name, .value { fill: #424a53; font-size: 11.5px; }
  .value { font-variant-numeric: tabular-nums; }
  .strong { fill: #1f2328; font-weight: 600; }
  .axis { stroke: #d8dee4; }
  .ours { fill: #1a7f64; }
  .batches { fill: #3fb58f; }
  .peer { fill: #a9b4c0; }
  .limit { fill: #ffffff; stroke: #8c959f; stroke-dasharray: 3 2; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d; }
    .title, .head, .strong { fill: #f0f6fc; }
    .sub, .foot { fill: #9198a1; }
    .name, .value { fill: #c3cad3; }
    .strong { fill: #f0f6fc; }
    .axis { stroke: #30363d; }
    .ours { fill: #2fa884; }
    .batches { fill: #6fd6b3; }
    .peer { fill: #4d5762; }
    .limit { fill: #0d1117; stroke: #768390; }
  }
`;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const fixed = (value) => Number(value.toFixed(1));

function classOf({ id, kind }) {
  if (id === 'fanpipe') return 'ours';
  if (kind === 'ours') return 'batches';
  return kind === 'sync' ? 'limit' : 'peer';
}

function panel({ readers, bars }, left, top) {
  const longest = Math.max(...bars.map((bar) => bar.value));
  const room = PANEL.width - PANEL.label - 46;
  let svg = `<text class="head" x="${left}" y="${top + 16}">${readers === 1 ? '1 reader' : `${readers.toLocaleString('en')} readers`}</text>`;
  bars.forEach((bar, i) => {
    const y = top + PANEL.head - 12 + i * (PANEL.bar + PANEL.gap);
    const x = left + PANEL.label;
    const width = Math.max(1.5, (bar.value / longest) * room);
    const strong = bar.kind === 'ours' ? ' strong' : '';
    const middle = y + PANEL.bar - 4;
    svg += `<text class="name${strong}" x="${x - 8}" y="${middle}" text-anchor="end">${escaped(bar.name)}</text>`;
    svg += `<rect class="${classOf(bar)}" x="${x}" y="${y}" width="${fixed(width)}" height="${PANEL.bar}" rx="2"/>`;
    svg += `<text class="value${strong}" x="${fixed(x + width + 6)}" y="${middle}">${figure(bar.value)}</text>`;
  });
  const bottom = top + PANEL.head - 14 + bars.length * (PANEL.bar + PANEL.gap);
  svg += `<line class="axis" x1="${left + PANEL.label - 0.5}" x2="${left + PANEL.label - 0.5}" y1="${top + PANEL.head - 16}" y2="${bottom}"/>`;
  return svg;
}

/** `panels`: `{ readers, bars: [{ id, kind, name, value }] }`, up to four, set in two columns. */
export function barChart({ title, subtitle, foot, panels }) {
  const rows = Math.max(...panels.map(({ bars }) => bars.length));
  const height = PANEL.head + rows * (PANEL.bar + PANEL.gap);
  const columns = Math.min(2, panels.length);
  const width = MARGIN * 2 + columns * PANEL.width + (columns - 1) * BETWEEN;
  const lines = Math.ceil(panels.length / columns);
  const total = TITLE + lines * height + (lines - 1) * 12 + FOOT;
  const body = panels
    .map((each, i) =>
      panel(each, MARGIN + (i % columns) * (PANEL.width + BETWEEN), TITLE + Math.floor(i / columns) * (height + 12)),
    )
    .join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}" viewBox="0 0 ${width} ${total}" role="img" aria-label="${escaped(title)}">
<style>${STYLE}</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${total - 1}" rx="8"/>
<text class="title" x="${MARGIN}" y="28">${escaped(title)}</text>
<text class="sub" x="${MARGIN}" y="47">${escaped(subtitle)}</text>
${body}
<text class="foot" x="${MARGIN}" y="${total - 16}">${escaped(foot)}</text>
</svg>
`;
}
