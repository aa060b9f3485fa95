/** As much of a terminal as is needed here. */
export interface Screen {
  readonly columns?: number;
  write(text: string): unknown;
}

/** How often what is shown is looked at again, in milliseconds. */
export const FRAME_MS = 100;
/** How a terminal is told something. */
export const ESC = '\u001b[';

/** Lines that are drawn again and again in their place. `stop` leaves the last ones there and the terminal as it was. */
export class LiveLines {
  readonly #screen: Screen;
  #drawn = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
    screen.write(`${ESC}?25l`);
  }

  draw(lines: readonly string[]): void {
    const up = this.#drawn > 0 ? `${ESC}${this.#drawn}A` : '';
    this.#screen.write(`${up}${lines.map((line) => `${line}${ESC}K\n`).join('')}`);
    this.#drawn = lines.length;
  }

  stop(): void {
    this.#screen.write(`${ESC}?25h`);
  }
}

/** Whether a log wants to hear again, so many milliseconds after the start: once a second, after ten seconds every ten. */
export class LogTimes {
  #next = 1000;

  isDue(elapsed: number): boolean {
    if (elapsed < this.#next) return false;
    this.#next += this.#next < 10_000 ? 1000 : 10_000;
    return true;
  }
}

/** A bar of a fixed width; of nothing, full. */
export function barOf(part: number, whole: number, width: number): string {
  const filled = whole === 0 ? width : Math.min(width, Math.floor((width * part) / whole));
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
