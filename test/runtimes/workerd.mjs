import { writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { distOf, entriesOf, scriptsForAnyRuntime, scriptsIn } from './entries.mjs';

/**
 * Writes the configuration of workerd and returns its path. Every file is a module of its own, as it is shipped; the
 * library's names are modules too. No Node compatibility: the library has to do with the web platform. Nor is there a network:
 * `fetch` reaches a second worker.
 */
export function writeWorkerdConfig(root) {
  const compiled = join(root, '.cache', 'conformance');
  const embed = (name, file) =>
    `    (name = ${JSON.stringify(name)}, esModule = embed ${JSON.stringify(relative(compiled, file).split(sep).join('/'))}),`;
  const built = scriptsForAnyRuntime(root).map(({ folder, file }) => ({
    name: `${folder}/${file}`,
    path: join(distOf(root, folder), file),
  }));
  // A module finds its imports from where its own name stands: whoever imports by the name of a package has it beside it.
  const alias = ({ name, folder, file }, place) => {
    const module = place === '.' ? name : `${place}/${name}`;
    const up = '../'.repeat(module.split('/').length - 1) || './';
    return `    (name = ${JSON.stringify(module)}, esModule = "export * from '${up}${folder}/${file}';"),`;
  };
  const places = new Set([
    '.',
    ...built.map(({ name }) => dirname(name)).filter((place) => place.startsWith('server')),
  ]);
  const modules = [
    embed('worker.mjs', join(root, 'test', 'runtimes', 'worker.mjs')),
    ...scriptsIn(compiled).map((file) => embed(file, join(compiled, file))),
    ...entriesOf(root, { withNode: false }).flatMap((entry) => [...places].map((place) => alias(entry, place))),
    ...built.map(({ name, path }) => embed(name, path)),
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
