import { backendContract } from './contract.ts';
import { lmdbRig } from './lmdb-rig.ts';

backendContract('LMDB', lmdbRig, { reopens: true });
