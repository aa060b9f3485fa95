/**
 * The peers by id. Each loads only when asked for, so that a child process holds the code of one.
 *
 * A peer: `open({ readers, copy })` gives `{ write(chunk), close(), streams }`; `read(stream)` reads to the end and
 * resolves with `{ chunks, bytes }`; `watch(stream, onChunk)` does so with a callback; `stall(stream)` where it takes
 * more than not reading to be a reader that stands still; `churn()` gives `{ join(), leave(joined), write?(chunk) }`.
 * `kind` says what it may be compared with: `ours`, `async` (a reader may wait, chunks queue for it) or `sync` (readers run
 * inside the write; the limit).
 */
const nodeMajor = Number(process.versions.node.split('.')[0]);

const registry = [
  ['fanpipe', './fanpipe.mjs', 'perChunk'],
  ['fanpipe.batches', './fanpipe.mjs', 'batches'],
  ['callbacks', './callbacks.mjs', 'callbacks'],
  ['callbacks.array', './callbacks.mjs', 'callbackArray'],
  ['events.on', './events-on.mjs', 'eventsOn'],
  ['effect', './effect.mjs', 'effect'],
  ['rxjs', './rxjs.mjs', 'rxjs'],
  ['rxjs.sync', './rxjs.mjs', 'rxjsSync'],
  ['passthrough', './passthrough.mjs', 'passthrough'],
  ['passthrough.data', './passthrough.mjs', 'passthroughData'],
  ['cloneable-readable', './cloneable.mjs', 'cloneableReadable'],
  ['tee', './tee.mjs', 'tee'],
  ['iter.broadcast', './stream-iter.mjs', 'broadcast'],
  ['iter.share', './stream-iter.mjs', 'share'],
];

/** Ids of the peers that this Node can run. */
export const peerIds = registry.map(([id]) => id).filter((id) => !id.startsWith('iter.') || nodeMajor >= 26);

export async function loadPeer(id) {
  const entry = registry.find(([known]) => known === id);
  if (entry === undefined)
    throw new Error(`No such peer: ${id}. Known: ${registry.map(([known]) => known).join(', ')}`);
  return (await import(entry[1]))[entry[2]];
}

/** What each peer is, by id: `{ label, kind, note }`; also of those that this Node cannot run. */
export async function describePeers() {
  const notes = {};
  for (const [id, path, name] of registry) {
    const { label, kind, note } = (await import(path))[name];
    notes[id] = { label, kind, note };
  }
  return notes;
}
