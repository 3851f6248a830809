import { createSecretKey, type KeyObject, randomFillSync } from "node:crypto";
import { Socket } from "node:net";
import type { Client } from "ssh2";

/** What ssh2 keeps to itself of a connection: the keys of AES-GCM, which is asked for first, and what it does with a server's messages. */
interface Internals {
  _sock?: unknown;
  _protocol?: Protocol;
}
interface Protocol {
  /** Set while keys are being exchanged, when nothing else may be sent. */
  _kexinit?: unknown;
  _cipher?: {
    _encKey?: Buffer | KeyObject;
    allocPacket?: (length: number) => Buffer;
    encrypt?: (packet: Buffer) => void;
  };
  _decipher?: { _decipherKey?: Buffer | KeyObject };
  _packetRW?: { write?: { allocStart: number; alloc(length: number): Buffer; finalize(packet: Buffer): Buffer } };
  _handlers?: { GLOBAL_REQUEST?: GlobalRequest };
}
type GlobalRequest = (protocol: Protocol, name: string, wantReply: boolean, data: unknown) => void;

/**
 * Makes a connection's packets cheaper: ssh2 makes a cipher for each, and three writes. To be called when it has begun to
 * connect. What another version of ssh2 names otherwise stays as it is, slower and right; a test says so.
 */
export function makeThrifty(client: Client): void {
  const internals = client as unknown as Internals;
  // After each exchange of keys. Given a buffer, Node finds out by an error of its own that it is no key: four fifths of a small
  // packet's time.
  client.on("handshake", () => {
    const { _cipher: out, _decipher: into } = internals._protocol ?? {};
    if (out?._encKey instanceof Buffer) {
      out._encKey = createSecretKey(out._encKey);
      out.allocPacket = allocPacket;
    }
    if (into?._decipherKey instanceof Buffer) into._decipherKey = createSecretKey(into._decipherKey);
  });
  if (internals._sock instanceof Socket) writeTogether(internals._sock);
  const handlers = internals._protocol?._handlers;
  if (handlers?.GLOBAL_REQUEST !== undefined) handlers.GLOBAL_REQUEST = withoutProofs(handlers.GLOBAL_REQUEST);
}

/**
 * After the login a server tells all of its host keys, and ssh2 lets it sign for each at once: milliseconds of its processor, to
 * learn what nobody here asks. The key that the connection was made with is proved by then.
 */
function withoutProofs(handler: GlobalRequest): GlobalRequest {
  return (protocol, name, wantReply, data) => {
    if (name !== "hostkeys-00@openssh.com" || wantReply) return handler(protocol, name, wantReply, data);
    sendNothing(protocol);
  };
}

const IGNORE = 2;

/**
 * A packet that the other side ignores: what it acknowledges is why it is sent. OpenSSH, until its first command, holds a packet
 * back as long as one before it is not acknowledged, which a kernel with nothing to send does after 40 ms.
 */
function sendNothing({ _kexinit, _packetRW, _cipher }: Protocol): void {
  const write = _packetRW?.write;
  if (_kexinit !== undefined || write === undefined || _cipher?.encrypt === undefined) return;
  const packet = write.alloc(5);
  packet.fill(0, write.allocStart, write.allocStart + 5);
  packet[write.allocStart] = IGNORE;
  _cipher.encrypt(write.finalize(packet));
}

const padding = Buffer.alloc(8 * 1024);
let padded = padding.length;

/** A packet of AES-GCM, its padding from a stock: ssh2 asks the kernel for each one's dozen random bytes. */
function allocPacket(length: number): Buffer {
  const pad = 16 - ((length + 1) % 16) + ((length + 1) % 16 > 12 ? 16 : 0);
  const packet = Buffer.allocUnsafe(5 + length + pad);
  packet.writeUInt32BE(1 + length + pad, 0);
  packet[4] = pad;
  if (padded + pad > padding.length) {
    randomFillSync(padding);
    padded = 0;
  }
  padding.copy(packet, 5 + length, padded, padded + pad);
  padded += pad;
  return packet;
}

/** What is written one right after the other goes out as one: an SSH server wakes once for it, and not for a packet's length alone. */
function writeTogether(socket: Socket): void {
  const write = socket.write;
  socket.write = ((...args: Parameters<Socket["write"]>) => {
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    return write.apply(socket, args);
  }) as Socket["write"];
}
