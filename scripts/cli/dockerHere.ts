import { existsSync } from "node:fs";
import { request } from "node:http";
import type { Stack } from "./stack.ts";

const patience = 3000;

/** The socket of the Docker engine of this machine that a stack's Dify is made on, where one answers; undefined: none does. */
export async function dockerSocket({ settings }: Pick<Stack, "settings">): Promise<string | undefined> {
  const [, socket] = /^unix:\/\/(\/.+)$/.exec(settings.dify?.docker.host ?? "") ?? [];
  if (!socket || !existsSync(socket)) return undefined;
  return (await answers(socket)) ? socket : undefined;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((told) => {
    const sent = request({ socketPath: socket, path: "/_ping", timeout: patience });
    sent.once("timeout", () => sent.destroy());
    sent.once("error", () => told(false));
    sent.once("close", () => told(false));
    sent.once("response", (response) => {
      response.resume();
      told(response.statusCode === 200);
    });
    sent.end();
  });
}
