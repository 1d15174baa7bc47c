/** The operations on a unix socket as consumers import them: a client of a running daemon, and the server. */
export * as PrivateSocket from "./PrivateSocket.ts"
export * as SocketClient from "./SocketClient.ts"
export * as SocketServer from "./SocketServer.ts"
