/**
 * What a reader does: it counts chunks and bytes. One loop for all peers that are async iterables; a child process
 * runs one peer only, so the loop sees one kind of iterator.
 */

/** Reads one chunk per step. */
export async function readChunks(stream) {
  let chunks = 0;
  let bytes = 0;
  for await (const chunk of stream) {
    chunks++;
    bytes += chunk.byteLength;
  }
  return { chunks, bytes };
}

/** Reads an array of chunks per step and loops over it. */
export async function readBatches(stream) {
  let chunks = 0;
  let bytes = 0;
  for await (const batch of stream) {
    for (let i = 0; i < batch.length; i++) {
      chunks++;
      bytes += batch[i].byteLength;
    }
  }
  return { chunks, bytes };
}

/** As `readChunks`, calling `onChunk` for each: for wake-up latency. */
export async function watchChunks(stream, onChunk) {
  for await (const _chunk of stream) onChunk();
}

/** As `readBatches`, calling `onChunk` for each chunk. */
export async function watchBatches(stream, onChunk) {
  for await (const batch of stream) {
    for (let i = 0; i < batch.length; i++) onChunk();
  }
}
