/** A backend whose calls a test watches, holds up or has fail. */
import type {
  Backend,
  BackendCursor,
  BackendStream,
  BackendWriter,
} from '../../../packages/server/src/backends/backend.ts';

export type BackendCall = 'create' | 'open' | 'delete' | 'stats' | 'state' | 'acquire' | 'append' | 'cursor' | 'next';

/** Called before each call takes effect. What it throws, the call rejects with, and nothing happens. */
export type Before = (call: BackendCall, name: string) => void | Promise<void>;
/** Called after it took effect, before its caller is told. */
export type After = (call: BackendCall, name: string) => void | Promise<void>;

export interface Hooks {
  before?: Before;
  after?: After;
}

/** The backend, with hooks that may be changed at any time. */
export function wrapBackend(backend: Backend, hooks: Hooks): Backend {
  const around = async <T>(call: BackendCall, name: string, run: () => Promise<T>): Promise<T> => {
    const before = hooks.before?.(call, name);
    if (before !== undefined) await before;
    const result = await run();
    const after = hooks.after?.(call, name);
    if (after !== undefined) await after;
    return result;
  };

  const wrapCursor = (cursor: BackendCursor, name: string): BackendCursor => ({
    get position() {
      return cursor.position;
    },
    next: (options) => around('next', name, () => cursor.next(options)),
    close: () => cursor.close(),
  });

  // Appends take effect in the order of the calls, so they must not overtake each other while they are held up.
  const wrapWriter = (writer: BackendWriter, name: string): BackendWriter => {
    let last: Promise<unknown> = Promise.resolve();
    return {
      epoch: writer.epoch,
      append: (chunks, options) => {
        const turn = last;
        const sent = (async () => {
          await turn;
          const before = hooks.before?.('append', name);
          if (before !== undefined) await before;
          return { answer: writer.append(chunks, options) };
        })();
        // What follows a failed one is not sent: it fails too.
        last = sent;
        sent.catch(() => {});
        return sent.then(async ({ answer }) => {
          const acknowledgement = await answer;
          const after = hooks.after?.('append', name);
          if (after !== undefined) await after;
          return acknowledgement;
        });
      },
    };
  };

  const wrapStream = (stream: BackendStream): BackendStream => ({
    name: stream.name,
    generation: stream.generation,
    state: () => around('state', stream.name, () => stream.state()),
    acquire: () =>
      around('acquire', stream.name, async () => {
        const { writer, state, facts } = await stream.acquire();
        return { writer: wrapWriter(writer, stream.name), state, facts };
      }),
    cursor: (offset) => {
      void hooks.before?.('cursor', stream.name);
      return wrapCursor(stream.cursor(offset), stream.name);
    },
    touch: () => stream.touch(),
  });

  return {
    level: backend.level,
    create: (name, config, options) =>
      around('create', name, async () => {
        const { isNew, stream } = await backend.create(name, config, options);
        return { isNew, stream: wrapStream(stream) };
      }),
    open: (name) =>
      around('open', name, async () => {
        const stream = await backend.open(name);
        return stream === undefined ? undefined : wrapStream(stream);
      }),
    delete: (name, generation) => around('delete', name, () => backend.delete(name, generation)),
    list: (options) => backend.list(options),
    stats: () => around('stats', '', () => backend.stats()),
    close: () => backend.close(),
  };
}
