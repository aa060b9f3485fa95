/**
 * One abort listener per signal, however many wait under it: a listener for each would draw a warning at the eleventh.
 *
 * @module
 */

/** Whoever waits under a signal. Must not throw. */
export interface UnderSignal {
  aborted(reason: unknown): void;
}

interface Group {
  readonly members: Set<UnderSignal>;
  readonly onAbort: () => void;
}

const groups: WeakMap<AbortSignal, Group> = new WeakMap();

/** Calls `member.aborted` once when the signal fires, unless it left before. The signal must not have fired. */
export function joinSignal(signal: AbortSignal, member: UnderSignal): void {
  let group = groups.get(signal);
  if (group === undefined) {
    const members = new Set<UnderSignal>();
    const onAbort = (): void => {
      groups.delete(signal);
      for (const each of members) each.aborted(signal.reason);
    };
    group = { members, onAbort };
    groups.set(signal, group);
    signal.addEventListener('abort', onAbort, { once: true });
  }
  group.members.add(member);
}

/** Undoes `joinSignal`. */
export function leaveSignal(signal: AbortSignal, member: UnderSignal): void {
  const group = groups.get(signal);
  if (group === undefined || !group.members.delete(member) || group.members.size > 0) return;
  groups.delete(signal);
  signal.removeEventListener('abort', group.onAbort);
}
