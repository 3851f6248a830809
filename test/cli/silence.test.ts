import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, expect, it } from "vitest";
import { inParallel, request } from "../../scripts/cli/http.ts";
import { isTimeout, Servers } from "../../scripts/cli/silence.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that takes connections, and says what `answer` gives for the n-th of them. */
async function serve(answer: (nth: number) => string | undefined): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => {
      const text = answer(++asked);
      if (text !== undefined) socket.end(text);
    });
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked: () => asked };
}
const notFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** Thirty questions, two at a time; what came of each. */
const askOften = (url: string) => {
  const asked = new Servers();
  return inParallel(Array.from({ length: 30 }), 2, () =>
    asked
      .ask(url, () => request(url, { seconds: 0.3 }), isTimeout)
      .then(
        ({ status }) => `HTTP ${status}`,
        (error: Error) => error.name,
      ),
  );
};

it("a server that says nothing is left after a few questions, with the reason for each that would have come", async () => {
  const mute = await serve(() => undefined);
  const began = Date.now();
  expect(new Set(await askOften(mute.url))).toEqual(new Set(["TimeoutError"]));
  expect(mute.asked()).toBeLessThanOrEqual(4);
  // Thirty time-outs, two at a time, take 4.5 s.
  expect(Date.now() - began).toBeLessThan(3000);
});

it("one that answers now and then is asked on, whatever it answers", async () => {
  const slow = await serve((nth) => (nth % 3 === 0 ? undefined : notFound));
  const came = await askOften(slow.url);
  expect(slow.asked()).toBe(30);
  expect(came.filter((one) => one === "HTTP 404")).toHaveLength(20);
});
