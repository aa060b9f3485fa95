/** Names of what the protocol refuses by itself. What the hub refuses has the code of its error. */
export type RefusalCode =
  | 'BAD_REQUEST'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'CONTENT_TYPE_MISMATCH'
  | 'CONFLICT'
  | 'OFFSET_GONE'
  | 'RANGE_NOT_SATISFIABLE'
  | 'STREAM_FAILED';

/** A request that is answered with an error. Thrown by what reads requests; becomes a reply in one place, `errorReply`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: RefusalCode;
  /** Headers of the reply: name, value, name, value, … */
  readonly headers: readonly string[];

  constructor(status: number, code: RefusalCode, message: string, headers: readonly string[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** What a function of the host threw: a fault of the server (500), be it an error that would be the client's if it came from here. */
export function hostFault(name: string, cause: unknown): Error {
  return new Error(`${name} threw`, { cause });
}

/** 400: the request is not what the protocol says. */
export function badRequest(message: string): Refusal {
  return new Refusal(400, 'BAD_REQUEST', message);
}
