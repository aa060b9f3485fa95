/** For a process that another one has started for itself, by `Child`: what it does with that one. */

/**
 * Whoever is in front of the terminal stops the parent, and that stops this process, in order: by closing the channel, as it
 * also closes if the parent is gone without a word. Then `end` is called, and the process is over.
 */
export function staysWithParent(end: () => void | Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
  process.once('disconnect', async () => {
    await end();
    process.exit();
  });
}

/** Tells the parent. Nothing happens if it has gone meanwhile. */
export function tellParent(message: object): void {
  process.send?.(message, () => {});
}
