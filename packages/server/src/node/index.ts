export { type Handler, type NodeListener, type NodeListenerOptions, nodeListener } from './node-listener.ts';
