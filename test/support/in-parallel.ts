/** Many small pieces of work, some of them at a time. */

/** Calls `work` with 0 to `count - 1`, at most `width` at a time. Rejects with the first failure, and begins no more then. */
export async function inParallel(count: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < count && !failed) {
      const index = next++;
      try {
        await work(index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const done = await Promise.allSettled(Array.from({ length: Math.min(width, count) }, worker));
  for (const result of done) if (result.status === 'rejected') throw result.reason;
}

/** Resolves once `condition` holds, looked at in every turn of the event loop. Rejects with `what` after very many. */
export async function until(condition: () => boolean, what = 'what was waited for', turns = 100_000): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn >= turns) throw new Error(`still not after ${turns} turns: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
