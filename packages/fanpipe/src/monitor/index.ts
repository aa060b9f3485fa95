export { Alarm } from './alarm.ts';
export { type Clock, checkClock, systemClock } from './clock.ts';
export type { MinThroughputOptions, MonitorOptions } from './monitor-options.ts';
export type { MonitorSource } from './pull-source.ts';
export type { StallEvent } from './source-watch.ts';
export { StalledReadMonitor } from './stalled-read-monitor.ts';
