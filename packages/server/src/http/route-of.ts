import type { HttpRequest } from './http-request.ts';

/** Of what kind a request is, so that there are few kinds whatever clients send. */
export type Route =
  | 'create'
  | 'append'
  | 'delete'
  | 'head'
  | 'preflight'
  | 'read'
  | 'long-poll'
  | 'sse'
  | 'raw'
  | 'other';

/** The kind of a request, by its method and its `live` parameter. */
export function routeOf(request: HttpRequest): Route {
  switch (request.method) {
    case 'GET':
      return readRoute(request.query);
    case 'POST':
      return 'append';
    case 'PUT':
      return 'create';
    case 'HEAD':
      return 'head';
    case 'DELETE':
      return 'delete';
    case 'OPTIONS':
      return 'preflight';
    default:
      return 'other';
  }
}

function readRoute(query: string): Route {
  let place = query.indexOf('live=');
  // The end of another name.
  while (place > 0 && query[place - 1] !== '&') place = query.indexOf('live=', place + 1);
  if (place < 0) return 'read';
  if (query.startsWith('sse', place + 5)) return 'sse';
  if (query.startsWith('long-poll', place + 5)) return 'long-poll';
  return query.startsWith('raw', place + 5) ? 'raw' : 'read';
}
