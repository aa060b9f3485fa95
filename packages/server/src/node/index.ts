export { type Handler, type NodeListener, type NodeListenerOptions, nodeListener } from './node-listener.ts';
export { type CloseOptions, type Servable, type ServeOptions, type Serving, serve } from './serve.ts';
