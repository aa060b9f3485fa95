/** The official suite of the protocol on streams in memory. */
import { memoryBackend } from '../../../packages/server/src/index.ts';
import { officialSuite } from './official-suite.ts';

officialSuite(() => memoryBackend());
