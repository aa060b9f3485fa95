import type { HttpRequest } from './http-request.ts';
import type { Reply } from './reply.ts';
import { routeOf } from './route-of.ts';

/** A kind of number in the format of Prometheus. */
type MetricType = 'counter' | 'gauge';

interface Metric {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly read: () => number;
}

/** Upper bounds of the buckets of a latency, in seconds. */
const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How long something took, counted in buckets. */
export class Latency {
  /** With the `fanpipe_` that all begin with, and `_seconds` at the end. */
  readonly name: string;
  readonly help: string;
  readonly #counts: number[] = new Array(BOUNDS.length + 1).fill(0);
  #sum = 0;

  /** `name` without the `fanpipe_`. */
  constructor(name: string, help: string) {
    this.name = `fanpipe_${name}`;
    this.help = help;
  }

  /** One took so many milliseconds. */
  add(ms: number): void {
    const seconds = ms / 1000;
    this.#sum += seconds;
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > (BOUNDS[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  lines(): string[] {
    const { name } = this;
    const lines = head(name, 'histogram', this.help);
    let count = 0;
    for (let i = 0; i < BOUNDS.length; i++) {
      count += this.#counts[i] as number;
      lines.push(`${name}_bucket{le="${BOUNDS[i]}"} ${count}`);
    }
    count += this.#counts[BOUNDS.length] as number;
    lines.push(`${name}_bucket{le="+Inf"} ${count}`, `${name}_sum ${this.#sum}`, `${name}_count ${count}`);
    return lines;
  }
}

function head(name: string, type: MetricType | 'histogram', help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

/**
 * Numbers about a server in the text format 0.0.4 of Prometheus.
 *
 * What is known elsewhere is asked for when somebody looks; here only requests are counted, by route and status, which costs two
 * look-ups each.
 */
export class Metrics {
  readonly #metrics: Metric[] = [];
  readonly #latencies: Latency[] = [];
  readonly #looks: (() => Promise<unknown>)[] = [];
  readonly #requests = new Map<string, Map<number, number>>();

  /** Counts a reply. */
  count(request: HttpRequest, reply: Reply): void {
    const route = routeOf(request);
    let statuses = this.#requests.get(route);
    if (statuses === undefined) this.#requests.set(route, (statuses = new Map()));
    statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
  }

  /** Adds a number that only grows. `name` without the `fanpipe_` that all begin with. */
  counter(name: string, help: string, read: () => number): void {
    this.#metrics.push({ name: `fanpipe_${name}`, type: 'counter', help, read });
  }

  /** Adds a number that goes up and down. */
  gauge(name: string, help: string, read: () => number): void {
    this.#metrics.push({ name: `fanpipe_${name}`, type: 'gauge', help, read });
  }

  /** Adds a latency that somebody else measures. */
  add(latency: Latency): void {
    this.#latencies.push(latency);
  }

  /** Adds something to look up before the numbers are read. */
  before(look: () => Promise<unknown>): void {
    this.#looks.push(look);
  }

  /** All of them, for `text/plain; version=0.0.4`. */
  async text(): Promise<string> {
    // What cannot be looked up keeps its last number: the others are the more wanted then.
    await Promise.allSettled(this.#looks.map((look) => look()));
    const lines = head('fanpipe_requests_total', 'counter', 'Requests that were answered, by route and status.');
    for (const [route, statuses] of this.#requests) {
      for (const [status, count] of statuses) {
        lines.push(`fanpipe_requests_total{route="${route}",status="${status}"} ${count}`);
      }
    }
    for (const { name, type, help, read } of this.#metrics) lines.push(...head(name, type, help), `${name} ${read()}`);
    for (const latency of this.#latencies) lines.push(...latency.lines());
    return `${lines.join('\n')}\n`;
  }
}
