import type { Broadcast, ReaderProgress } from './broadcast.ts';
import { formatBytes, formatRate, formatSeconds, formatShare } from './format.ts';

/** What is shown while the broadcast runs. `stop` shows the last state and leaves the terminal as it was. */
export interface Progress {
  stop(): void;
}

/** As much of a terminal as is needed here. */
export interface Screen {
  readonly columns?: number;
  write(text: string): unknown;
}

const FRAME_MS = 100;
const BAR_WIDTH = 12;
const ESC = '\u001b[';

/** Redraws a table in place, ten times a second. `size` is that of the source, `mark` that of the streams. */
export function showLive(
  broadcast: Broadcast,
  size: number | undefined,
  mark: number,
  screen: Screen,
  colors: boolean,
): Progress {
  const rates = new Rates();
  let drawn = 0;
  const draw = (): void => {
    const width = screen.columns ?? 80;
    const lines = tableOf(broadcast, size, mark, rates, width, colors);
    const up = drawn > 0 ? `${ESC}${drawn}A` : '';
    screen.write(`${up}${lines.map((line) => `${line}${ESC}K\n`).join('')}`);
    drawn = lines.length;
  };
  screen.write(`${ESC}?25l`);
  draw();
  const timer = setInterval(draw, FRAME_MS);
  return {
    stop() {
      clearInterval(timer);
      draw();
      screen.write(`${ESC}?25h`);
    },
  };
}

/** The lines of the table, none wider than `width`: a narrow terminal gets less of it. */
export function tableOf(
  broadcast: Broadcast,
  size: number | undefined,
  mark: number,
  rates: Rates,
  width: number,
  colors: boolean,
): string[] {
  const { elapsed, bytes, readers } = broadcast;
  const withDoes = width > 64;
  const withBar = width > 79 && size !== undefined;
  const row = (name: string, does: string, bar: string, amounts: readonly [string, string, string]): string => {
    const cells = [`  ${name.padEnd(10)}`];
    if (withDoes) cells.push(does.padEnd(18));
    if (withBar) cells.push(bar.padEnd(BAR_WIDTH + 2));
    cells.push(amounts[0].padStart(9), amounts[1].padStart(11), amounts[2].padStart(9));
    return cells.join(' ').slice(0, width - 1);
  };
  const lines = readers.map((reader) => {
    const { name, does, received, lag, state } = reader;
    const bar = withBar ? barOf(received, size) : '';
    const line = row(name, does, bar, [formatBytes(received), rateOf(reader, rates, elapsed), formatBytes(lag)]);
    if (!colors) return line;
    if (state === 'done') return `${ESC}32m${line}${ESC}39m`;
    return lag > mark / 2 ? `${ESC}33m${line}${ESC}39m` : line;
  });
  const share = size === undefined ? '' : ` of ${formatBytes(size)}, ${formatShare(bytes, size)}`;
  const foot = `  source     ${formatBytes(bytes)}${share}, ${formatSeconds(elapsed)}`;
  return [row('reader', 'does', '', ['read', 'rate', 'lag']), ...lines, foot.slice(0, width - 1)];
}

function barOf(received: number, size: number): string {
  const filled = size === 0 ? BAR_WIDTH : Math.min(BAR_WIDTH, Math.floor((BAR_WIDTH * received) / size));
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`;
}

function rateOf(reader: ReaderProgress, rates: Rates, elapsed: number): string {
  if (reader.endedAfter !== undefined) return formatRate(reader.received, reader.endedAfter);
  return formatRate(...rates.of(reader.name, reader.received, elapsed));
}

/** Rates over the last second or so: a whole run's average would hide that a reader has come to a halt. */
export class Rates {
  readonly #points: Map<string, { bytes: number; at: number }[]> = new Map();

  /** Bytes and milliseconds since the oldest point that is kept. */
  of(name: string, bytes: number, at: number): [bytes: number, ms: number] {
    const points = this.#points.get(name) ?? [];
    this.#points.set(name, points);
    points.push({ bytes, at });
    while (points.length > 2 && at - (points[1]?.at ?? at) >= 1000) points.shift();
    const first = points[0] ?? { bytes, at };
    // The very first frame has no second point yet.
    return first.at === at ? [bytes, at] : [bytes - first.bytes, at - first.at];
  }
}

/** Plain lines for a log: all readers once a second, after ten seconds every ten. */
export function showPlain(broadcast: Broadcast, screen: Screen): Progress {
  const rates = new Rates();
  let next = 1000;
  const print = (): void => {
    const { elapsed } = broadcast;
    for (const reader of broadcast.readers) {
      const state = reader.state === 'reading' ? `lag ${formatBytes(reader.lag)}` : reader.state;
      const cells = [
        formatSeconds(elapsed).padStart(7),
        reader.name.padEnd(10),
        formatBytes(reader.received).padStart(10),
        rateOf(reader, rates, elapsed).padStart(13),
      ];
      screen.write(`${cells.join('  ')}  ${state}\n`);
    }
  };
  const timer = setInterval(() => {
    if (broadcast.elapsed < next) return;
    next += next < 10_000 ? 1000 : 10_000;
    print();
  }, FRAME_MS);
  return {
    stop() {
      clearInterval(timer);
      print();
    },
  };
}

/** Shows one line, again and again in its place. */
export function liveLine(screen: Screen): (elapsed: number, line: string) => void {
  let isFirst = true;
  return (_elapsed, line) => {
    screen.write(`${isFirst ? '' : `${ESC}1A`}${line.slice(0, (screen.columns ?? 80) - 1)}${ESC}K\n`);
    isFirst = false;
  };
}

/** Shows a line for a log: once a second, after ten seconds every ten. */
export function plainLine(screen: Screen): (elapsed: number, line: string) => void {
  let next = 1000;
  return (elapsed, line) => {
    if (elapsed < next) return;
    next += next < 10_000 ? 1000 : 10_000;
    screen.write(`${line}\n`);
  };
}
