import type { Screen } from './screen.ts';

/** Where the demo is shown. */
export interface Output {
  readonly stdout: Screen;
  /** Whether lines can be drawn over. */
  readonly isScreen: boolean;
  readonly colors: boolean;
}

/** The output of this process. */
export function openOutput(): Output {
  const { stdout, env } = process;
  const isScreen = stdout.isTTY && env.TERM !== 'dumb';
  return { stdout, isScreen, colors: isScreen && !env.NO_COLOR };
}

/** Prints what a check came to: what was found, or `passed`. Returns whether nothing was found. */
export function printCheck(output: Output, problems: readonly string[], passed: string, digest: string): boolean {
  if (problems.length > 0) {
    console.error(`Check failed:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    return false;
  }
  console.log(output.colors ? `\u001b[32m${passed}\u001b[39m` : passed);
  console.log(`SHA-256 ${digest}\n`);
  return true;
}
