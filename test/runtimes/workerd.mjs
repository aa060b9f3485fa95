import { readdirSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { entriesOf } from './entries.mjs';

function scripts(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => file.split(sep).join('/'))
    .filter((file) => file.endsWith('.js'));
}

/**
 * Writes the configuration of workerd and returns its path. Every file is a module of its own, as it is shipped; the
 * library's names are modules too. No Node compatibility: the library has to do with the web platform. Nor is there a network:
 * `fetch` reaches a second worker.
 */
export function writeWorkerdConfig(root) {
  const compiled = join(root, '.cache', 'conformance');
  const dist = join(root, 'packages', 'fanpipe', 'dist');
  const embed = (name, file) =>
    `    (name = ${JSON.stringify(name)}, esModule = embed ${JSON.stringify(relative(compiled, file).split(sep).join('/'))}),`;
  // A module finds its imports from where its own name stands.
  const alias = (name, file) =>
    `    (name = ${JSON.stringify(name)}, esModule = "export * from '${name.includes('/') ? '..' : '.'}/dist/${file}';"),`;
  const modules = [
    embed('worker.mjs', join(root, 'test', 'runtimes', 'worker.mjs')),
    ...scripts(compiled).map((file) => embed(file, join(compiled, file))),
    ...entriesOf(root, { withNode: false }).map(([name, file]) => alias(name, file)),
    ...scripts(dist)
      // What only `fanpipe/node` loads imports from Node.
      .filter((file) => file !== 'node.js' && !file.startsWith('interop/node-'))
      .map((file) => embed(`dist/${file}`, join(dist, file))),
  ];
  const resourceModules = [
    embed('resource-worker.mjs', join(root, 'test', 'runtimes', 'resource-worker.mjs')),
    ...['resource.js', 'bytes.js'].map((file) => embed(file, join(compiled, file))),
  ];
  const config = join(compiled, 'workerd.capnp');
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [
  (name = "conformance", worker = .worker),
  (name = "resource", worker = .resource),
]);
const worker :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  globalOutbound = "resource",
  modules = [
${modules.join('\n')}
  ],
);
const resource :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [
${resourceModules.join('\n')}
  ],
);
`,
  );
  return config;
}
