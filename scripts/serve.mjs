#!/usr/bin/env node
/**
 * Starts a server of streams from a clone.
 *
 *   npm run -s serve -- [--port PORT] [--host ADDRESS] [--data FOLDER] [--long-poll-timeout MS]
 *
 * Prints one line with the URL when it listens. SIGTERM or SIGINT ends it: replies under way finish first.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const setup = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs'), '--quiet'], {
  stdio: ['ignore', 2, 2],
});
if (setup.status !== 0) process.exit(1);

const cli = pathToFileURL(join(root, 'packages', 'server', 'dist', 'cli', 'main.js'));
const { main } = await import(cli);
// npm runs scripts in the folder of package.json; a folder that is named is one of where the user stands.
if (process.env.npm_lifecycle_event === 'serve' && process.env.INIT_CWD !== undefined)
  process.chdir(process.env.INIT_CWD);
process.exitCode = await main(process.argv.slice(2));
// Nothing is left that should keep the process: what a client or a store still holds is none of it.
process.exit();
