/** The seed of a random test: FANPIPE_SEED, or another one at each run. fast-check prints it with every failure. */
export function randomSeed(): number {
  const { FANPIPE_SEED } = process.env;
  return FANPIPE_SEED === undefined ? (Date.now() ^ (process.pid << 16)) >>> 1 : Number(FANPIPE_SEED);
}
