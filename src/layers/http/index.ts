/** The HTTP API on a unix socket as consumers import it: its definition, a client of a running daemon, and the server. */
export * as Api from "./Api.ts"
export * as PrivateSocket from "./PrivateSocket.ts"
export * as SocketClient from "./SocketClient.ts"
export * as SocketServer from "./SocketServer.ts"
