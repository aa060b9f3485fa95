/**
 * The ceiling: what plain `node:http` does with nothing behind it. No storage, no offsets, one prebuilt frame per append, one write per
 * reader. It answers just what the benchmark asks for.
 */
import { createServer } from 'node:http';

const PIECE = 64 * 1024;
const NEXT = { 'stream-next-offset': '0000000000000000_0000000000000000' };

export async function bareServer() {
  const readers = new Set();
  let pollers = [];
  let blob = Buffer.alloc(0);

  const server = createServer((request, response) => {
    const { method, url } = request;
    if (method === 'GET') {
      if (url.includes('live=sse')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('event: control\ndata: {"upToDate":true}\n\n');
        readers.add(response);
        response.on('close', () => readers.delete(response));
      } else if (url.includes('live=long-poll')) {
        pollers.push(response);
      } else {
        response.writeHead(200, { ...NEXT, 'stream-up-to-date': 'true', 'content-length': blob.length });
        send(response, blob);
      }
      return;
    }
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      if (body.length > PIECE) blob = Buffer.concat([blob, body]);
      const frame = Buffer.from(`event: data\ndata: ${body}\n\nevent: control\ndata: {"upToDate":true}\n\n`);
      for (const reader of readers) reader.write(frame);
      const woken = pollers;
      pollers = [];
      for (const poller of woken) poller.writeHead(200, { ...NEXT, 'content-length': body.length }).end(body);
      response.writeHead(method === 'PUT' ? 201 : 204, NEXT).end();
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server.address().port;
}

function send(response, bytes) {
  let at = 0;
  const more = () => {
    while (at < bytes.length) if (!response.write(bytes.subarray(at, (at += PIECE)))) return;
    response.end();
  };
  response.on('drain', more);
  more();
}
