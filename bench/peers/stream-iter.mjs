import { readBatches, watchBatches } from './consumers.mjs';

/** Node 26 with `--experimental-stream-iter`. A budget that no run reaches: it is about speed, not about refusing. */
const module = await import('node:stream/iter').catch(() => undefined);
const OPTIONS = { budget: 2 ** 40 };

export const broadcast = {
  id: 'iter.broadcast',
  label: 'stream/iter broadcast()',
  kind: 'async',
  note: '`writer.writeSync(chunk)`, `for await (const batch of broadcast.push())`, looping over each batch',
  open({ readers }) {
    const { writer, broadcast: shared } = module.broadcast(OPTIONS);
    return {
      write: (chunk) => writer.writeSync(chunk),
      close: () => writer.endSync(),
      streams: Array.from({ length: readers }, () => shared.push()),
    };
  },
  read: readBatches,
  watch: watchBatches,
  churn() {
    const { writer, broadcast: shared } = module.broadcast(OPTIONS);
    return {
      join: () => shared.push()[Symbol.asyncIterator](),
      leave: (iterator) => iterator.return(),
      write: (chunk) => writer.writeSync(chunk),
    };
  },
};

export const share = {
  id: 'iter.share',
  label: 'stream/iter share()',
  kind: 'async',
  note: '`share(push().readable)`, `for await (const batch of shared.pull())`, looping over each batch',
  open({ readers }) {
    const { writer, readable } = module.push(OPTIONS);
    const shared = module.share(readable, OPTIONS);
    return {
      write: (chunk) => writer.writeSync(chunk),
      close: () => writer.endSync(),
      streams: Array.from({ length: readers }, () => shared.pull()),
    };
  },
  read: readBatches,
  watch: watchBatches,
  churn() {
    const { writer, readable } = module.push(OPTIONS);
    const shared = module.share(readable, OPTIONS);
    return {
      join: () => shared.pull()[Symbol.asyncIterator](),
      leave: (iterator) => iterator.return(),
      write: (chunk) => writer.writeSync(chunk),
    };
  },
};
