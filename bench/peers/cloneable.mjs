import cloneable from 'cloneable-readable';
import { readChunks, watchChunks } from './consumers.mjs';
import { source } from './passthrough.mjs';

/** The cloneable itself is the last reader: it starts to flow once every clone and itself is read. */
function open({ readers }) {
  const readable = source();
  const main = cloneable(readable);
  main.setMaxListeners(0);
  const streams = Array.from({ length: readers - 1 }, () => main.clone());
  streams.push(main);
  return { write: (chunk) => readable.push(chunk), close: () => readable.push(null), streams };
}

export const cloneableReadable = {
  id: 'cloneable-readable',
  label: 'cloneable-readable 3.0.0',
  kind: 'async',
  note: '`cloneable(readable)` and its `clone()`s, object mode, `for await (const chunk of clone)`',
  open,
  read: readChunks,
  watch: watchChunks,
  /** A clone can only be made before the stream starts; so nothing is written while this joins and leaves. */
  churn() {
    const main = cloneable(source());
    main.setMaxListeners(0);
    return { join: () => main.clone(), leave: (clone) => clone.destroy() };
  },
};
