/** What a request line and its `Host` say. */
export interface RequestTarget {
  /** Beginning with `/`, as it was sent. */
  readonly path: string;
  /** After the `?`, as it was sent; empty if there is none. */
  readonly query: string;
  /** The authority that is asked for, or undefined where none was said. */
  readonly host: string | undefined;
}

/** Characters that RFC 3986 lets stand in a target, and a few that browsers send as they are. No `#`, no space, no 8-bit character. */
const TARGET = /^[!"$-~]+$/;
/** A name, an IPv4 address or an IPv6 address in brackets, and a port. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-fA-F:.]+\])(?::\d{0,5})?$/;
const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)$/i;

/**
 * Takes a target apart. Undefined: it is none that RFC 9112 allows for a request to an origin server, or the absolute form
 * (`GET http://host/path`) of another host than `Host` names, which some hop would take for another request than we do.
 */
export function parseTarget(target: string, host: string | undefined): RequestTarget | undefined {
  if (!TARGET.test(target)) return undefined;
  if (host !== undefined && !HOST.test(host)) return undefined;
  let rest = target;
  if (target.charCodeAt(0) !== 47) {
    const parts = ABSOLUTE.exec(target);
    if (parts === null) return undefined;
    const authority = parts[1] as string;
    if (!HOST.test(authority) || (host !== undefined && authority.toLowerCase() !== host.toLowerCase()))
      return undefined;
    host = authority;
    rest = parts[2] as string;
    if (!rest.startsWith('/')) rest = `/${rest}`;
  }
  const mark = rest.indexOf('?');
  if (mark < 0) return { path: rest, query: '', host };
  return { path: rest.slice(0, mark), query: rest.slice(mark + 1), host };
}

/** Whether a header stands there more than once. `raw` is name, value, name, value, …; `name` in small letters. */
export function isRepeated(raw: readonly string[], name: string): boolean {
  let found = false;
  for (let i = 0; i < raw.length; i += 2) {
    const header = raw[i] as string;
    if (header.length !== name.length || header.toLowerCase() !== name) continue;
    if (found) return true;
    found = true;
  }
  return false;
}
