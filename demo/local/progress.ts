import { formatBytes, formatRate, formatSeconds, formatShare } from '../format.ts';
import { Rates } from '../rates.ts';
import { barOf, ESC, FRAME_MS, LiveLines, LogTimes, type Screen } from '../screen.ts';
import type { Broadcast, ReaderProgress } from './broadcast.ts';

/** What is shown while the broadcast runs. `stop` shows the last state and leaves the terminal as it was. */
export interface Progress {
  stop(): void;
}

const BAR_WIDTH = 12;

/** Redraws a table in place, ten times a second. `size` is that of the source, `mark` that of the streams. */
export function showLive(
  broadcast: Broadcast,
  size: number | undefined,
  mark: number,
  screen: Screen,
  colors: boolean,
): Progress {
  const rates = new Rates();
  const live = new LiveLines(screen);
  const draw = (): void => live.draw(tableOf(broadcast, size, mark, rates, screen.columns ?? 80, colors));
  draw();
  const timer = setInterval(draw, FRAME_MS);
  return {
    stop() {
      clearInterval(timer);
      draw();
      live.stop();
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
    const bar = withBar ? barOf(received, size, BAR_WIDTH) : '';
    const line = row(name, does, bar, [formatBytes(received), rateOf(reader, rates, elapsed), formatBytes(lag)]);
    if (!colors) return line;
    if (state === 'done') return `${ESC}32m${line}${ESC}39m`;
    return lag > mark / 2 ? `${ESC}33m${line}${ESC}39m` : line;
  });
  const share = size === undefined ? '' : ` of ${formatBytes(size)}, ${formatShare(bytes, size)}`;
  const foot = `  source     ${formatBytes(bytes)}${share}, ${formatSeconds(elapsed)}`;
  return [row('reader', 'does', '', ['read', 'rate', 'lag']), ...lines, foot.slice(0, width - 1)];
}

function rateOf(reader: ReaderProgress, rates: Rates, elapsed: number): string {
  if (reader.endedAfter !== undefined) return formatRate(reader.received, reader.endedAfter);
  return formatRate(...rates.of(reader.name, reader.received, elapsed));
}

/** Plain lines for a log: all readers once a second, after ten seconds every ten. */
export function showPlain(broadcast: Broadcast, screen: Screen): Progress {
  const rates = new Rates();
  const times = new LogTimes();
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
    if (times.isDue(broadcast.elapsed)) print();
  }, FRAME_MS);
  return {
    stop() {
      clearInterval(timer);
      print();
    },
  };
}
