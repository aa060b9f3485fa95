import type { DurabilityLevel, StreamEnd } from '../backends/backend.ts';

/** Who sends an append, and as which one: what makes sending it again harmless. */
export interface ProducerTuple {
  /** Well-formed, 1 to 1,024 bytes of UTF-8. */
  readonly id: string;
  /** Whole number from 0; a higher one takes the id over from those before. */
  readonly epoch: number;
  /** Number of the append in its epoch, from 0. */
  readonly seq: number;
}

/** Appends of which each needs all before it: once one has failed, no later one is taken. Filled in by the hub. */
export interface AppendChain {
  /** What the first one that failed was rejected with. */
  failure: { readonly reason: unknown } | undefined;
}

export interface HubAppendOptions {
  readonly producer?: ProducerTuple | undefined;
  /** Must be higher than that of every append before that had one, by the bytes of its UTF-8. Well-formed. */
  readonly seq?: string | undefined;
  /** Ends the stream after these bytes. */
  readonly end?: StreamEnd | undefined;
  /** The chain that it belongs to. */
  readonly chain?: AppendChain | undefined;
}

/** How far a producer has come. */
export interface ProducerProgress {
  readonly epoch: number;
  /** The highest that was accepted in this epoch. */
  readonly seq: number;
}

/** The append took effect. */
export interface Appended {
  readonly kind: 'appended';
  /** Offset of its first byte. */
  readonly offset: number;
  /** Offset after its last byte. */
  readonly tail: number;
  /** The stream has ended, by this append. */
  readonly isEnded: boolean;
  readonly level: DurabilityLevel;
  /** Of the producer that sent it. */
  readonly producer?: ProducerProgress | undefined;
}

/** Why an append took no effect, or no second one. */
export type NotAppended =
  /** It took effect before, and is acknowledged. */
  | {
      readonly kind: 'duplicate';
      readonly tail: number;
      readonly isEnded: boolean;
      readonly producer: ProducerProgress;
    }
  /** It would only have ended a stream that has ended like that before. */
  | { readonly kind: 'already-ended'; readonly tail: number; readonly end: StreamEnd }
  /** The stream has ended. */
  | { readonly kind: 'ended'; readonly tail: number; readonly end: StreamEnd }
  /** The id was taken over: `epoch` is the one that holds it. */
  | { readonly kind: 'stale-epoch'; readonly epoch: number }
  /** The first append of a higher epoch is not its number 0. */
  | { readonly kind: 'epoch-must-start' }
  /** An append before it is missing. */
  | { readonly kind: 'sequence-gap'; readonly expected: number; readonly received: number }
  /** `seq` is not higher than `last`. */
  | { readonly kind: 'sequence-regression'; readonly last: string };

export type AppendOutcome = Appended | NotAppended;
