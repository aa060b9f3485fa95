/** `docs/server/errors.md` names every error of the server, with the code and the statuses that it has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as errors from '../../packages/server/src/errors.ts';
import { errorReply } from '../../packages/server/src/http/error-reply.ts';

/** One of each class, and more where the status depends on what it says. */
const EXAMPLES: errors.ServerError[] = [
  new errors.StreamNotFoundError('s'),
  new errors.StreamExistsError('s', 'another type'),
  new errors.StreamDeletedError('s'),
  new errors.StreamSoftDeletedError('s'),
  new errors.StreamEndedError('s', 1),
  new errors.StreamFailedError('s', 'why'),
  ...(['not-found', 'soft-deleted', 'offset', 'content-type'] as const).map(
    (problem) => new errors.ForkSourceError('s', problem, 'why'),
  ),
  new errors.OffsetGoneError(1, 2),
  new errors.OffsetNotWrittenError(2, 1),
  new errors.OffsetOverflowError(1, 2),
  new errors.FencedError('s', 1),
  new errors.InvalidNameError('why'),
  new errors.InvalidArgumentError('why'),
  ...(['streams', 'stream-bytes', 'total-bytes', 'readers', 'body'] as const).map(
    (kind) => new errors.LimitExceededError(kind, 1, 'why'),
  ),
  new errors.StorageError('why'),
  new errors.StorageError('why', { isFull: true }),
  new errors.StoreInUseError('/store', 'process 1'),
  new errors.BackendClosedError(),
  new errors.ServerClosedError(),
  new errors.RequestBrokenError('why'),
  new errors.BodyAlreadyReadError(),
];

const markdown = readFileSync(new URL('../../docs/server/errors.md', import.meta.url), 'utf8');
const documented = [...markdown.matchAll(/^\| `(ERR_FANPIPE_\w+)` *\| `(\w+)` *\|[^|]*\| *([^|]*?) *\|/gm)].map(
  ([, code, name, statuses]) => `${name} ${code} ${statuses}`,
);

test('every class, with its code and its statuses', () => {
  const classes = new Map<string, { code: string; statuses: Set<number> }>();
  for (const error of EXAMPLES) {
    const { code, statuses } = classes.get(error.name) ?? { code: error.code, statuses: new Set() };
    // A store that another process has open is met before there is a server.
    if (!(error instanceof errors.StoreInUseError)) statuses.add(errorReply(error).status);
    classes.set(error.name, { code, statuses });
  }
  const actual = [...classes].map(([name, { code, statuses }]) => `${name} ${code} ${[...statuses].sort().join(', ')}`);
  expect(documented.sort()).toEqual(actual.sort());
  const exported = Object.keys(errors).filter((name) => name !== 'ServerError');
  expect([...classes.keys()].sort()).toEqual(exported.sort());
});
