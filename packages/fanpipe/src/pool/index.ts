/**
 * Open once, serve many: concurrent requests for one key share one source from its first byte, late joiners included.
 *
 * @module
 */

export { PoolAbandonedError, PoolBudgetError, PoolClosedError, PoolSourceError } from './errors.ts';
export type { LastLeave, PoolContext, PoolOpener, PoolOpenOptions, PoolSource, StreamPoolOptions } from './options.ts';
export type { PoolEntryState, PoolEntryStats, PoolStats } from './pool-stats.ts';
export { StreamPool } from './stream-pool.ts';
