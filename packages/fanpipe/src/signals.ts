/**
 * One abort listener per signal, however many streams, waits and monitors use it.
 *
 * A listener for each would draw a MaxListeners warning at the eleventh stream and cost a closure each. The listener is
 * removed when the last member leaves, so nothing stays behind on a signal that outlives its streams.
 */

/** What happens to a member when its signal fires. Must not throw. */
export interface AbortMember {
  aborted(reason: unknown): void;
}

class SignalGroup {
  readonly #signal: AbortSignal;
  readonly #members: Set<AbortMember> = new Set();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  add(member: AbortMember): void {
    this.#members.add(member);
  }

  remove(member: AbortMember): void {
    if (this.#members.delete(member) && this.#members.size === 0) this.#disband();
  }

  readonly #onAbort = (): void => {
    // Over the live set: a member that one before it has made leave is not told.
    for (const member of this.#members) member.aborted(this.#signal.reason);
    this.#disband();
  };

  #disband(): void {
    groups.delete(this.#signal);
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}

const groups: WeakMap<AbortSignal, SignalGroup> = new WeakMap();

/** Calls `member.aborted` once when `signal` fires, unless it left before. The signal must not have fired yet. */
export function joinSignal(signal: AbortSignal, member: AbortMember): void {
  let group = groups.get(signal);
  if (group === undefined) {
    group = new SignalGroup(signal);
    groups.set(signal, group);
  }
  group.add(member);
}

/** Undoes {@link joinSignal}; nothing happens if the member is not in. */
export function leaveSignal(signal: AbortSignal, member: AbortMember): void {
  groups.get(signal)?.remove(member);
}
