import type fc from 'fast-check';

/** One step of a rig, as a command that prints itself. */
export class RigStep<Rig extends object> implements fc.AsyncCommand<Record<string, never>, Rig> {
  readonly #name: string;
  readonly #arguments: readonly unknown[];
  readonly #run: (rig: Rig) => Promise<void> | undefined | void;

  constructor(name: string, args: readonly unknown[], run: (rig: Rig) => Promise<void> | undefined | void) {
    this.#name = name;
    this.#arguments = args;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  // Synchronous where the step is: whatever lies between two turns happens within one microtask.
  run(_: Record<string, never>, rig: Rig): Promise<void> {
    return this.#run(rig) as Promise<void>;
  }

  toString(): string {
    return `${this.#name}(${this.#arguments.map((argument) => JSON.stringify(argument)).join(', ')})`;
  }
}
