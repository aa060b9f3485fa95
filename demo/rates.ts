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
