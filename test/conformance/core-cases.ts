import { FanpipeError } from 'fanpipe';
import { ok } from './assert.ts';
import type { Case } from './harness.ts';

export const coreCases: readonly Case[] = [
  { title: 'trivial', need: undefined, run: () => ok(typeof FanpipeError === 'function', 'class') },
  { title: 'skipped', need: { name: 'nothing', present: false }, run: () => {} },
];
