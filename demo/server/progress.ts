import { formatBytes, formatRate, formatSeconds, formatShare } from '../format.ts';
import { Rates } from '../rates.ts';
import { barOf, LiveLines, LogTimes, type Screen } from '../screen.ts';
import type { RelayProgress } from './relay.ts';

/** What is shown while the clients read. `stop` leaves the last state and the terminal as it was. */
export interface RelayView {
  show(progress: RelayProgress): void;
  stop(): void;
}

const BAR_WIDTH = 12;

/** Redraws a table in place. `size` is that of the stream. */
export function showRelayLive(size: number, screen: Screen): RelayView {
  const live = new LiveLines(screen);
  const rates = new Rates();
  return {
    show: (progress) => live.draw(relayTable(progress, size, rates, screen.columns ?? 80)),
    stop: () => live.stop(),
  };
}

/** A line for a log now and then, and at the end. */
export function showRelayPlain(screen: Screen): RelayView {
  const times = new LogTimes();
  /** What has not been printed. */
  let last: RelayProgress | undefined;
  const print = (progress: RelayProgress): void => void screen.write(`${relayLine(progress)}\n`);
  return {
    show(progress) {
      const isDue = times.isDue(progress.elapsed);
      if (isDue) print(progress);
      last = isDue ? undefined : progress;
    },
    stop() {
      if (last !== undefined) print(last);
    },
  };
}

/** How far it is, in one line. */
export function relayLine({ elapsed, uploaded, kinds }: RelayProgress): string {
  const delivered = kinds.reduce((sum, { bytes }) => sum + bytes, 0);
  const done = kinds.reduce((sum, kind) => sum + kind.done, 0);
  const amounts = `${formatBytes(uploaded)} uploaded, ${formatBytes(delivered)} delivered`;
  return `${formatSeconds(elapsed).padStart(7)}  ${amounts}, ${formatRate(delivered, elapsed)}, ${done} clients through`;
}

/** The lines of the table, none wider than `width`. */
export function relayTable(progress: RelayProgress, size: number, rates: Rates, width: number): string[] {
  const { elapsed, uploaded, isUploaded, kinds } = progress;
  const withBar = width > 60;
  const row = (kind: string, count: string, bar: string, read: string, rate: string, done: string): string => {
    const cells = [`  ${kind.padEnd(12)}`, count.padStart(5)];
    if (withBar) cells.push(bar.padEnd(BAR_WIDTH + 2));
    cells.push(read.padStart(9), rate.padStart(11), done.padStart(7));
    return cells.join(' ').slice(0, width - 1);
  };
  const rows = kinds.map(({ kind, count, done, bytes }) => {
    const each = Math.round(bytes / count);
    const rate = done === count ? '' : formatRate(...rates.of(kind, each, elapsed));
    return row(kind, String(count), barOf(each, size, BAR_WIDTH), formatBytes(each), rate, String(done));
  });
  const state = isUploaded ? 'uploaded' : `of ${formatBytes(size)} uploaded, ${formatShare(uploaded, size)}`;
  const foot = `  ${formatBytes(uploaded)} ${state}, ${formatSeconds(elapsed)}`;
  return [row('clients', 'count', '', 'read each', 'rate each', 'through'), ...rows, foot.slice(0, width - 1)];
}
