import type { Facts } from '../backends/backend.ts';
import type { ProducerProgress, ProducerTuple } from './append-outcome.ts';

/**
 * What is kept with a stream about its writers, as facts of the backend: committed with the bytes that they are about.
 *
 * | name      | value                                                              |
 * | --------- | ------------------------------------------------------------------ |
 * | `seq`     | the last `Stream-Seq`                                              |
 * | `p:<id>`  | `<epoch>:<seq>:<tail after it>` of the last append of the producer |
 * | `closer`  | `<epoch>:<seq>:<id>` of the append that ended the stream           |
 */

/** How far a producer has come, and where in the stream: that orders producers by when they were heard of last. */
export interface ProducerState extends ProducerProgress {
  readonly at: number;
}

export interface WriterFacts {
  readonly seq: string | undefined;
  readonly closer: ProducerTuple | undefined;
  /** The one not heard of for longest first. */
  readonly producers: Map<string, ProducerState>;
}

export const SEQ = 'seq';
export const CLOSER = 'closer';
const PRODUCER = 'p:';

export function producerKey(id: string): string {
  return PRODUCER + id;
}

export function producerFact({ epoch, seq, at }: ProducerState): string {
  return `${epoch}:${seq}:${at}`;
}

export function closerFact({ id, epoch, seq }: ProducerTuple): string {
  return `${epoch}:${seq}:${id}`;
}

/** Reads the facts of a stream. Those of others are left alone. */
export function readWriterFacts(facts: Facts): WriterFacts {
  const producers: [id: string, state: ProducerState][] = [];
  for (const [name, value] of facts) {
    if (!name.startsWith(PRODUCER)) continue;
    const [epoch, seq, at] = value.split(':', 3).map(Number) as [number, number, number];
    producers.push([name.slice(PRODUCER.length), { epoch, seq, at }]);
  }
  producers.sort((a, b) => a[1].at - b[1].at);
  return { seq: facts.get(SEQ), closer: readCloser(facts.get(CLOSER)), producers: new Map(producers) };
}

function readCloser(value: string | undefined): ProducerTuple | undefined {
  if (value === undefined) return undefined;
  const afterEpoch = value.indexOf(':');
  const afterSeq = value.indexOf(':', afterEpoch + 1);
  return {
    epoch: Number(value.slice(0, afterEpoch)),
    seq: Number(value.slice(afterEpoch + 1, afterSeq)),
    id: value.slice(afterSeq + 1),
  };
}
