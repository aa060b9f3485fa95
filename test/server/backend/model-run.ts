/** Random steps on a backend, each checked against the model. */
import { expect } from 'vitest';
import type {
  BackendCursor,
  BackendStream,
  BackendWriter,
  CursorResult,
  StreamConfig,
  StreamEnd,
} from '../../../packages/server/src/backends/backend.ts';
import { settle } from '../../support/fake-clock.ts';
import type { Random } from '../../support/random.ts';
import { noteSettled, type Settled } from '../../support/settled.ts';
import { bytes, contents, hops, type Rig, shown, until } from './rig.ts';
import { StreamModel } from './stream-model.ts';

interface Subject {
  readonly model: StreamModel;
  stream: BackendStream;
  /** The last one is the writer. */
  writers: BackendWriter[];
}

interface Reading {
  readonly subject: Subject;
  readonly cursor: BackendCursor;
  readonly controller: AbortController;
  position: number;
  readonly maxBytes: number;
  actual: Settled<CursorResult> | undefined;
}

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const CODE = { gone: 'ERR_FANPIPE_OFFSET_GONE', beyond: 'ERR_FANPIPE_OFFSET_NOT_WRITTEN' };

export class ModelRun {
  readonly #rig: Rig;
  readonly #random: Random;
  readonly #subjects = new Map<string, Subject>();
  /** Deleted, but kept for forks. */
  readonly #kept = new Set<StreamModel>();
  readonly #readings = new Set<Reading>();
  #generation = 0;
  #text = 0;

  constructor(rig: Rig, random: Random) {
    this.#rig = rig;
    this.#random = random;
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      await this.#step();
      await this.#check();
    }
    for (const { model } of [...this.#subjects.values()]) await this.#delete(model.name);
    expect(await this.#rig.backend.stats()).toEqual({ streams: 0, bytes: 0 });
  }

  get #now(): number {
    return this.#rig.clock.now();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const name = random.pick(NAMES);
    const subject = this.#subjects.get(name);
    const kind = random.between(0, 100);
    if (subject === undefined) return kind < 25 && this.#subjects.size > 0 ? this.#fork(name) : this.#create(name);
    if (kind < 35) return this.#append(subject);
    if (kind < 60) return this.#read(subject);
    if (kind < 68) return this.#acquire(subject);
    if (kind < 74) return this.#pass(random.pick([1, 500, 1000, 2500, 4000]));
    if (kind < 80) return this.#abort();
    if (kind < 85) {
      subject.stream.touch();
      subject.model.touch(this.#now);
      return undefined;
    }
    if (kind < 88) return this.#reopen();
    if (kind < 91) return this.#create(name);
    if (kind < 96) return undefined;
    return this.#delete(name);
  }

  #config(): StreamConfig {
    const random = this.#random;
    return {
      contentType: 'text/plain',
      ...(random.chance(0.4) ? { retainBytes: random.between(1, 60) } : {}),
      ...(random.chance(0.3) ? { retainFor: random.pick([1000, 3000, 10_000]) } : {}),
      ...(random.chance(0.2) ? { ttl: random.pick([2000, 10_000, 50_000]) } : {}),
    };
  }

  /** Text that shows where it is from. */
  #newText(): string {
    const random = this.#random;
    if (random.chance(0.1)) return '';
    const size = random.chance(0.03) ? random.between(1000, 80_000) : random.between(1, 20);
    return `${this.#text++}:`.padEnd(size, 'x');
  }

  #newEnd(part: number): StreamEnd | undefined {
    if (!this.#random.chance(part)) return undefined;
    return this.#random.chance(0.5) ? { kind: 'closed' } : { kind: 'failed', reason: `because ${this.#text}` };
  }

  async #create(name: string, config = this.#config(), source?: StreamModel): Promise<void> {
    const text = this.#newText();
    const end = this.#newEnd(0.05);
    const facts = new Map([['made', name]]);
    const options = { facts, ...(end === undefined ? {} : { end }), chunks: [bytes(text)] };
    const isKept = [...this.#kept].some((model) => model.name === name);
    const creation = this.#rig.backend.create(name, config, options);
    if (isKept) {
      await expect(creation).rejects.toMatchObject({ code: 'ERR_FANPIPE_STREAM_SOFT_DELETED' });
      return;
    }
    const { isNew, stream } = await creation;
    expect(isNew).toBe(!this.#subjects.has(name));
    if (!isNew) return;
    expect(stream.generation).toBeGreaterThan(this.#generation);
    this.#generation = stream.generation;
    const model = new StreamModel(name, stream.generation, config, source, this.#now);
    model.append(text, this.#now);
    model.end = end;
    model.facts.set('made', name);
    this.#subjects.set(name, { model, stream, writers: [] });
  }

  async #fork(name: string): Promise<void> {
    const { model } = this.#random.pick([...this.#subjects.values()]);
    const offset = this.#random.between(model.head, model.tail + 1);
    const fork = { source: model.name, generation: model.generation, offset };
    await this.#create(name, { ...this.#config(), fork }, model);
  }

  async #append({ model, writers }: Subject): Promise<void> {
    const random = this.#random;
    if (writers.length === 0) return;
    const isLast = random.chance(0.85);
    const writer = (isLast ? writers.at(-1) : random.pick(writers)) as BackendWriter;
    const isCurrent = writer === writers.at(-1);
    const all: Promise<void>[] = [];
    for (let i = random.between(1, 6); i > 0; i--) {
      const text = this.#newText();
      const end = this.#newEnd(0.01);
      const fact = random.chance(0.3) ? (random.chance(0.7) ? `${i}` : undefined) : null;
      const facts = fact === null ? {} : { facts: new Map([[random.pick(['p', 'q']), fact]]) };
      const cut = random.between(0, text.length + 1);
      const chunks = [bytes(text.slice(0, cut)), bytes(text.slice(cut))];
      const appended = writer.append(chunks, { ...facts, ...(end === undefined ? {} : { end }) });
      const offset = model.tail;
      const code = isCurrent ? 'ERR_FANPIPE_STREAM_ENDED' : 'ERR_FANPIPE_FENCED';
      if (!isCurrent || model.end !== undefined) {
        all.push(expect(appended).rejects.toMatchObject({ code }));
      } else {
        model.append(text, this.#now);
        model.end = end;
        for (const [key, value] of facts.facts ?? []) {
          if (value === undefined) model.facts.delete(key);
          else model.facts.set(key, value);
        }
        all.push(expect(appended).resolves.toMatchObject({ offset, tail: model.tail }));
      }
      if (random.chance(0.2)) await hops(random.between(0, 5));
      if (random.chance(0.05)) await settle();
    }
    await Promise.all(all);
  }

  async #acquire(subject: Subject): Promise<void> {
    const { writer, state, facts } = await subject.stream.acquire();
    const { model } = subject;
    expect(writer.epoch).toBeGreaterThan(subject.writers.at(-1)?.epoch ?? 0);
    expect(state).toMatchObject({ tail: model.tail, end: model.end });
    expect([...facts].sort()).toEqual([...model.facts].sort());
    subject.writers = [...subject.writers.slice(-2), writer];
  }

  /** A new cursor, or one that is there already, goes a step. It may have to wait. */
  async #read(subject: Subject): Promise<void> {
    const random = this.#random;
    const { model } = subject;
    const offset = random.chance(0.5) ? random.between(model.head, model.tail + 1) : random.between(0, model.tail + 3);
    const reading: Reading = {
      subject,
      cursor: subject.stream.cursor(offset),
      controller: new AbortController(),
      position: offset,
      maxBytes: random.pick([1, 5, 100, 65_536]),
      actual: undefined,
    };
    this.#readings.add(reading);
    this.#go(reading);
  }

  #go(reading: Reading): void {
    reading.actual = undefined;
    const { cursor, maxBytes, controller } = reading;
    noteSettled(cursor.next({ maxBytes, signal: controller.signal }), reading);
  }

  async #abort(): Promise<void> {
    for (let i = 0; i < 3; i++) await settle();
    const reading = [...this.#readings].find(({ actual }) => actual === undefined);
    if (reading === undefined) return;
    reading.controller.abort('aborted');
    await until('it is aborted', () => reading.actual !== undefined);
    expect(reading.actual).toEqual({ error: 'aborted' });
    this.#readings.delete(reading);
    if (this.#random.chance(0.5)) reading.cursor.close();
  }

  async #pass(ms: number): Promise<void> {
    await this.#rig.clock.advance(ms);
    for (const { model } of [...this.#subjects.values()]) {
      if (model.deadline > this.#now) continue;
      await until(`${model.name} has expired`, async () => {
        const stream = await this.#rig.backend.open(model.name).catch(() => undefined);
        return stream?.generation !== model.generation;
      });
      this.#gone(model.name);
    }
  }

  async #delete(name: string): Promise<void> {
    const subject = this.#subjects.get(name) as Subject;
    expect(await this.#rig.backend.delete(name, subject.model.generation + 1)).toBe(false);
    expect(await this.#rig.backend.delete(name)).toBe(true);
    this.#gone(name);
  }

  #gone(name: string): void {
    const { model } = this.#subjects.get(name) as Subject;
    model.isGone = true;
    this.#subjects.delete(name);
    this.#kept.add(model);
    for (;;) {
      const living = [...[...this.#subjects.values()].map((subject) => subject.model), ...this.#kept];
      const needless = [...this.#kept].find((kept) => !living.some(({ source }) => source === kept));
      if (needless === undefined) return;
      this.#kept.delete(needless);
    }
  }

  async #reopen(): Promise<void> {
    if (this.#rig.reopen === undefined) return;
    for (let i = 0; i < 3; i++) await settle();
    const waiting = [...this.#readings].filter(({ actual }) => actual === undefined);
    const backend = await this.#rig.reopen();
    for (const reading of waiting) {
      await until('who waits is told', () => reading.actual !== undefined);
      expect(reading.actual).toMatchObject({ error: { code: 'ERR_FANPIPE_BACKEND_CLOSED' } });
    }
    this.#readings.clear();
    for (const subject of this.#subjects.values()) {
      // After a restart it may live longer than its time to live, and what was let go of may not have been written yet.
      if (subject.model.config.ttl !== undefined) {
        subject.stream.touch();
      }
      subject.stream = (await backend.open(subject.model.name)) as BackendStream;
      subject.stream.touch();
      subject.model.touch(this.#now);
      subject.writers = [];
    }
  }

  /** What can be seen is what the model says. */
  async #check(): Promise<void> {
    const { backend } = this.#rig;
    let own = 0;
    let whole = 0;
    const names: string[] = [];
    for await (const state of backend.list()) {
      names.push(state.name);
      const { model, stream } = this.#subjects.get(state.name) as Subject;
      const { generation, config, end, tail } = model;
      expect(state).toMatchObject({ generation, config, tail, end });
      model.see(state.head, this.#now);
      own += tail - Math.max(model.head, model.border);
      if (this.#random.chance(0.1)) expect(await contents(stream)).toBe(model.text.slice(model.head));
    }
    expect(names).toEqual([...this.#subjects.keys()].sort());
    for (const { model } of this.#subjects.values()) whole += model.tail - model.border;
    for (const model of this.#kept) whole += model.tail - model.border;
    const stats = await backend.stats();
    expect(stats.streams).toBe(this.#subjects.size + this.#kept.size);
    const hasForks = [...this.#subjects.values()].some(({ model }) => model.source !== undefined);
    if (!hasForks && this.#kept.size === 0)
      await until('held bytes are let go', async () => (await backend.stats()).bytes === own);
    else {
      expect(stats.bytes).toBeGreaterThanOrEqual(own);
      expect(stats.bytes).toBeLessThanOrEqual(whole);
    }
    for (const reading of [...this.#readings]) await this.#follow(reading);
  }

  /** A cursor has got what the model has, or waits where there is nothing. */
  async #follow(reading: Reading): Promise<void> {
    const { position, maxBytes, cursor } = reading;
    const { model } = reading.subject;
    const isWaiting = !model.isGone && position === model.tail && model.end === undefined;
    if (isWaiting) {
      expect(reading.actual).toBeUndefined();
      return;
    }
    await until(`${model.name} at ${position} is told`, () => reading.actual !== undefined);
    const actual = reading.actual as Settled<CursorResult>;
    if ('error' in actual) {
      this.#readings.delete(reading);
      const { code, head } = actual.error as { code: string; head?: number };
      if (code === CODE.gone) {
        expect(position).toBeLessThan(model.head);
        expect(head).toBeLessThanOrEqual(model.head);
      } else if (code === CODE.beyond) expect(position).toBeGreaterThan(0);
      else expect([code, model.isGone]).toEqual(['ERR_FANPIPE_STREAM_DELETED', true]);
      return;
    }
    const { value } = actual;
    if (value.end !== undefined) {
      expect(value).toEqual({ end: model.end, next: position });
      expect(position).toBe(model.tail);
      this.#readings.delete(reading);
      return;
    }
    const text = shown(value);
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThanOrEqual(maxBytes);
    expect(text).toBe(model.text.slice(position, position + text.length));
    expect(cursor.position).toBe(position + text.length);
    reading.position += text.length;
    if (model.isGone || this.#random.chance(0.3)) {
      this.#readings.delete(reading);
      cursor.close();
    } else this.#go(reading);
  }
}
