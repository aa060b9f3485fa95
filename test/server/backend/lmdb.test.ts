import { backendContract } from './contract.ts';
import { lmdbRig } from './lmdb-rig.ts';

backendContract('LMDB, safe with the system', lmdbRig, { reopens: true });
backendContract('LMDB, safe on disk', () => lmdbRig('disk'), { reopens: true });
