/** `docs/server/errors.md` names every error of the server and every code over HTTP, with the statuses that they have. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as errors from '../../packages/server/src/errors.ts';
import { errorReply } from '../../packages/server/src/http/error-reply.ts';
import { type CallOptions, HttpRig, tokenAt } from '../server/http/http-rig.ts';

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

/** A request for each code of the protocol. */
const REQUESTS: [line: string, options?: CallOptions][] = [
  ['GET text?live=never'],
  ['GET text', { headers: { authorization: 'Bearer nobody-0123456789' } }],
  ['DELETE text', { headers: { authorization: 'Bearer reader-0123456789' } }],
  ['GET /elsewhere'],
  ['PATCH text'],
  ['POST closed', { headers: { 'content-type': 'text/plain' }, body: 'x' }],
  ['POST text', { headers: { 'content-type': 'application/json' }, body: '1' }],
  ['GET failed?live=long-poll&offset=now'],
  [`GET text?offset=${tokenAt(7, 5)}`],
  ['GET text', { headers: { range: 'bytes=100-' } }],
  ['GET broken'],
];

test('every code of the protocol, with its status', async () => {
  const rig = new HttpRig({
    tokens: [
      { token: 'reader-0123456789', read: [''] },
      { token: 'writer-0123456789', read: [''], write: [''] },
    ],
    authorize: (_request, _action, stream) => {
      if (stream === 'broken') throw new Error('broken');
      return true;
    },
  });
  await rig.server.hub.create('text', { contentType: 'text/plain' });
  await rig.server.hub.create('closed', { contentType: 'text/plain' }, { end: { kind: 'closed' } });
  await rig.server.hub.create('failed', { contentType: 'text/plain' }, { end: { kind: 'failed', reason: 'why' } });
  const actual = [];
  for (const [line, { headers, ...options } = {}] of REQUESTS) {
    const call = { ...options, headers: { authorization: 'Bearer writer-0123456789', ...headers } };
    const answer = await rig.call(line, call);
    const { error } = JSON.parse(await answer.text()) as { error: { code: string } };
    actual.push(`${error.code} ${answer.status}`);
  }
  const words = [...markdown.matchAll(/^\| `([A-Z_]+)` *\| (\d+) \|/gm)].map(([, code, status]) => `${code} ${status}`);
  expect(words.sort()).toEqual(actual.sort());
});

test('a stream that is not there has one code, whatever is asked of it', async () => {
  const rig = new HttpRig();
  for (const line of ['GET none', 'GET none?live=raw', 'POST none', 'DELETE none']) {
    const answer = await rig.call(line, { headers: { 'content-type': 'text/plain' } });
    expect([answer.status, JSON.parse(await answer.text())]).toMatchObject([
      404,
      { error: { code: 'ERR_FANPIPE_STREAM_NOT_FOUND' } },
    ]);
  }
});
