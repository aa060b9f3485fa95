import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';

function git(...args) {
  try {
    return execFileSync('git', args, {
      cwd: import.meta.dirname ?? new URL('.', import.meta.url).pathname,
      encoding: 'utf8',
    }).trim();
  } catch {
    return undefined;
  }
}

/** Where, when and what was measured. `commit` ends in `+` when the sources of the library differ from it. */
export function machine() {
  const commit = git('rev-parse', '--short=12', 'HEAD');
  const dirty = git('status', '--porcelain', '--', '../packages/fanpipe/src');
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    date: new Date().toISOString().slice(0, 10),
    commit: commit === undefined ? 'unknown' : dirty ? `${commit}+` : commit,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
  };
}
