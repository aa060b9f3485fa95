/**
 * The server of `bench/remote.mjs`, a process of its own: an object of any size, made of one repeated mebibyte, with ranges and a
 * strong ETag. `/bytes/SIZE` is the object; `/requests` tells how many requests for objects came since it was asked last.
 */
import { createServer } from 'node:http';

const PATTERN = 2 ** 20;
// Twice, so that a piece from any place in it is one view.
const pattern = Buffer.alloc(2 * PATTERN);
for (let i = 0; i < pattern.length; i += 4) pattern.writeUInt32LE(Math.imul((i % PATTERN) + 1, 2_654_435_761) >>> 0, i);
const PIECE = 256 * 1024;
let requests = 0;

function send(response, from, to) {
  let at = from;
  const more = () => {
    while (at < to) {
      const start = at % PATTERN;
      const size = Math.min(PIECE, to - at);
      at += size;
      if (!response.write(pattern.subarray(start, start + size))) return;
    }
    response.end();
  };
  response.on('drain', more);
  more();
}

const server = createServer((request, response) => {
  if (request.url === '/requests') {
    response.end(String(requests));
    requests = 0;
    return;
  }
  const size = Number(/^\/bytes\/(\d+)$/.exec(request.url)?.[1]);
  if (!Number.isSafeInteger(size)) {
    response.writeHead(404).end();
    return;
  }
  requests++;
  const headers = { etag: `"${size}"`, 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (range === null) {
    response.writeHead(200, { ...headers, 'content-length': size });
    send(response, 0, size);
    return;
  }
  const from = Number(range[1]);
  const to = range[2] === '' ? size : Math.min(size, Number(range[2]) + 1);
  if (from >= size) {
    response.writeHead(416, { ...headers, 'content-range': `bytes */${size}` }).end();
    return;
  }
  const contentRange = `bytes ${from}-${to - 1}/${size}`;
  response.writeHead(206, { ...headers, 'content-length': to - from, 'content-range': contentRange });
  send(response, from, to);
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
process.on('disconnect', () => process.exit());
