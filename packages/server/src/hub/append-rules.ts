import type { StreamEnd } from '../backends/backend.ts';
import type { HubAppendOptions, NotAppended, ProducerTuple } from './append-outcome.ts';
import {
  CLOSER,
  closerFact,
  type ProducerState,
  producerFact,
  producerKey,
  SEQ,
  type WriterFacts,
} from './writer-facts.ts';

/**
 * Which append a stream takes. Pure: it knows no backend, no time and nobody who waits.
 *
 * It stands at the state after all appends that were accepted, acknowledged or not. It only goes forward: when one of them fails, it is
 * made anew from what the backend has.
 *
 * ```text
 *   end? ──yes──▶ the tuple that ended it: duplicate │ older epoch: stale-epoch │ ends it again, without bytes: already-ended │ ended
 *    │no
 *   producer ──▶ epoch below: stale-epoch │ above, seq not 0: epoch-must-start │ seq seen: duplicate │ seq too high: sequence-gap
 *    │ next one
 *   seq ──▶ not above the last: sequence-regression
 *    │
 *   taken
 * ```
 */
export class AppendRules {
  /** Offset after the last byte that was accepted. */
  tail: number;
  end: StreamEnd | undefined;
  #lastSeq: string | undefined;
  #closer: ProducerTuple | undefined;
  /** In the order of their last append. */
  readonly #producers: Map<string, ProducerState>;
  readonly #maxProducers: number;

  constructor(tail: number, end: StreamEnd | undefined, facts: WriterFacts, maxProducers: number) {
    this.tail = tail;
    this.end = end;
    this.#lastSeq = facts.seq;
    this.#closer = facts.closer;
    this.#producers = facts.producers;
    this.#maxProducers = maxProducers;
  }

  /** Why the append must not be taken; undefined if it is to be. */
  judge(size: number, { producer, seq, end }: HubAppendOptions): NotAppended | undefined {
    if (this.end !== undefined) return this.#judgeAfterEnd(this.end, size, producer, end);
    if (producer !== undefined) {
      const refusal = this.#judgeProducer(producer);
      if (refusal !== undefined) return refusal;
    }
    if (seq !== undefined && this.#lastSeq !== undefined && compareCodePoints(seq, this.#lastSeq) <= 0) {
      return { kind: 'sequence-regression', last: this.#lastSeq };
    }
    return undefined;
  }

  #judgeAfterEnd(
    ended: StreamEnd,
    size: number,
    producer: ProducerTuple | undefined,
    end: StreamEnd | undefined,
  ): NotAppended {
    const { tail } = this;
    if (producer !== undefined) {
      const closer = this.#closer;
      if (closer?.id === producer.id && closer.epoch === producer.epoch && closer.seq === producer.seq) {
        return { kind: 'duplicate', tail, isEnded: true, producer: { epoch: closer.epoch, seq: closer.seq } };
      }
      const known = this.#producers.get(producer.id);
      if (known !== undefined && producer.epoch < known.epoch) return { kind: 'stale-epoch', epoch: known.epoch };
    }
    if (size === 0 && end?.kind === ended.kind) return { kind: 'already-ended', tail, end: ended };
    return { kind: 'ended', tail, end: ended };
  }

  #judgeProducer({ id, epoch, seq }: ProducerTuple): NotAppended | undefined {
    const known = this.#producers.get(id);
    if (known === undefined) return seq === 0 ? undefined : { kind: 'sequence-gap', expected: 0, received: seq };
    if (epoch < known.epoch) return { kind: 'stale-epoch', epoch: known.epoch };
    if (epoch > known.epoch) return seq === 0 ? undefined : { kind: 'epoch-must-start' };
    if (seq <= known.seq) {
      return { kind: 'duplicate', tail: this.tail, isEnded: false, producer: { epoch, seq: known.seq } };
    }
    if (seq > known.seq + 1) return { kind: 'sequence-gap', expected: known.seq + 1, received: seq };
    return undefined;
  }

  /** Takes an append that was judged to be taken. Returns the facts that must be committed with it, if any. */
  accept(size: number, { producer, seq, end }: HubAppendOptions): Map<string, string | undefined> | undefined {
    this.tail += size;
    if (end !== undefined) this.end = end;
    if (producer === undefined && seq === undefined) return undefined;
    const facts = new Map<string, string | undefined>();
    if (seq !== undefined) {
      this.#lastSeq = seq;
      facts.set(SEQ, seq);
    }
    if (producer !== undefined) {
      this.#remember(producer, facts);
      if (end !== undefined) {
        this.#closer = producer;
        facts.set(CLOSER, closerFact(producer));
      }
    }
    return facts;
  }

  #remember({ id, epoch, seq }: ProducerTuple, facts: Map<string, string | undefined>): void {
    const producers = this.#producers;
    // Set anew, it is the last in the order of the map.
    if (!producers.delete(id) && producers.size >= this.#maxProducers) {
      const oldest = producers.keys().next().value as string;
      producers.delete(oldest);
      facts.set(producerKey(oldest), undefined);
    }
    const state: ProducerState = { epoch, seq, at: this.tail };
    producers.set(id, state);
    facts.set(producerKey(id), producerFact(state));
  }
}

/** The order of the bytes of their UTF-8, which is not that of the units of UTF-16. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all that one unit can name. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
