import type { Server } from "node:http";

/**
 * Keeps idle connections as long as a front such as nginx does. Node's own 5 s are as long as a busy machine may let a client wait:
 * the server would then close the line under the client's next request.
 */
export function keepLines<Kind extends Server>(server: Kind): Kind {
  server.keepAliveTimeout = 75_000;
  return server;
}
