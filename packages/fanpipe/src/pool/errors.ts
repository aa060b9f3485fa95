/**
 * Every error class of the pool. The same rules as in `errors.ts` of the package: a stable `code`, and a message that says
 * what was wrong, what to do, and in what state things are afterwards.
 *
 * @module
 */

import { FanpipeError, named } from '../errors.ts';

/**
 * Nobody reads an entry any more, so its source was stopped before its end. This is the reason of the signal that the opener
 * got; the entry is forgotten.
 */
export class PoolAbandonedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_POOL_ABANDONED' as const;
  /** How many bytes the source had given. */
  readonly bytes: number;

  constructor(bytes: number) {
    super(
      `Nobody reads this entry any more, so its source was stopped after ${bytes} bytes, before its end. The entry is forgotten; the next open of its key starts afresh. To go on without readers, use onLastLeave: 'keep' or { stopAfter }.`,
    );
    this.bytes = bytes;
  }
}

/**
 * A chunk would have taken the pool beyond its `budget`, or an entry beyond its `maxBytes`. That entry has failed: its readers
 * get the bytes so far and then this. Other entries are as they were.
 */
export class PoolBudgetError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_POOL_BUDGET' as const;
  /** How many bytes there would have been, in the pool or in the entry. */
  readonly bytes: number;
  /** The limit that they would have exceeded. */
  readonly budget: number;
  /** Whose limit it was: `budget` of the pool, or `maxBytes` of the entry. */
  readonly limit: 'budget' | 'maxBytes';

  constructor(limit: 'budget' | 'maxBytes', bytes: number, budget: number) {
    super(
      limit === 'budget'
        ? `The next chunk would take the pool to ${bytes} bytes: expected at most its budget of ${budget}, and what is idle would not make room enough. The entry has failed, what came before is delivered. Give the pool a larger budget, or the entries a maxBytes.`
        : `The next chunk would take the entry to ${bytes} bytes: expected at most its maxBytes of ${budget}. The entry has failed, what came before is delivered.`,
    );
    this.bytes = bytes;
    this.budget = budget;
    this.limit = limit;
  }
}

/** The pool is closed: nothing is opened any more, and entries that were filling have failed with this. */
export class PoolClosedError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_POOL_CLOSED' as const;

  constructor() {
    super(
      'The pool is closed: expected an open one. Nothing is opened any more, sources that had not ended were stopped; what they had given is delivered.',
    );
  }
}

/** What the opener returned cannot be read, or is a `Response` that does not say success. The entry has failed. */
export class PoolSourceError extends FanpipeError {
  override readonly code = 'ERR_FANPIPE_POOL_SOURCE' as const;
  /** The status of the `Response`, if it was one. */
  readonly status: number | undefined;

  constructor(detail: string, status?: number) {
    super(
      `The opener returned ${detail}. Nothing of it was read; the entry has failed, and the next open starts afresh.`,
    );
    this.status = status;
  }
}

for (const [name, errorClass] of Object.entries({
  PoolAbandonedError,
  PoolBudgetError,
  PoolClosedError,
  PoolSourceError,
})) {
  named(errorClass, name);
}
